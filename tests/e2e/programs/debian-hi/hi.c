#include <stdio.h>
int main(void)
{
	puts("hi from a package");
	return 0;
}
