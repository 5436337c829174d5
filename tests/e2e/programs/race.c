#include <pthread.h>
static int x;
static void *count(void *arg)
{
	for (int i = 0; i < 1000; i++)
		/* nothing keeps the other thread off */
		x++;
	return arg;
}
int main(void)
{
	pthread_t a, b;
	pthread_create(&a, NULL, count, NULL);
	pthread_create(&b, NULL, count, NULL);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	return 0;
}
