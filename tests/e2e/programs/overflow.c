#include <stdlib.h>
int main(int argc, char **argv)
{
	(void)argv;
	char *p = malloc(8);
	p[6 + argc] = 1;
	return 0;
}
