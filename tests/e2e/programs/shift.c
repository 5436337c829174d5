#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
	int x = 1 << (argc > 1 ? strtol(argv[1], NULL, 10) : 1);
	puts("done");
	return x == 7;
}
