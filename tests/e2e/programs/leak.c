#include <stdlib.h>
#include <string.h>
static char *volatile p;
int main(void)
{
	p = malloc(123);
	memset(p, 1, 123);
	p = NULL;
	return 0;
}
