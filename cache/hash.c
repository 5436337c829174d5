#include "cache/hash.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int hash_open(struct hash *h, const char *name)
{
	h->md = EVP_MD_fetch(NULL, name, NULL);
	h->ctx = h->md ? EVP_MD_CTX_new() : NULL;
	if (h->ctx && EVP_DigestInit_ex2(h->ctx, h->md, NULL))
		return 0;
	hash_close(h);
	return -1;
}

void hash_close(struct hash *h)
{
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
	*h = (struct hash){0};
}

/* libcrypto's own digests fail only for want of memory. */
void hash_add(struct hash *h, const void *bytes, size_t n)
{
	if (!EVP_DigestUpdate(h->ctx, bytes, n))
		abort();
}

int hash_add_fd(struct hash *h, int fd, void *buffer, size_t n, uint64_t *got)
{
	uint64_t all = 0;
	for (;;) {
		ssize_t one = read(fd, buffer, n);
		if (one < 0 && errno == EINTR)
			continue;
		if (one < 0)
			return -1;
		if (!one)
			break;
		hash_add(h, buffer, (size_t)one);
		all += (uint64_t)one;
	}
	if (got)
		*got = all;
	return 0;
}

void hash_hex(struct hash *h, char hex[HASH_HEX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (!EVP_DigestFinal_ex(h->ctx, raw, &n) || !EVP_DigestInit_ex2(h->ctx, h->md, NULL))
		abort();
	for (unsigned i = 0; i < n; i++) {
		hex[2 * i] = digits[raw[i] >> 4];
		hex[2 * i + 1] = digits[raw[i] & 15];
	}
	hex[2 * n] = '\0';
}

void hash_id(struct hash *h, char id[CACHE_ID])
{
	char hex[HASH_HEX];
	hash_hex(h, hex);
	memcpy(id, hex, CACHE_ID - 1);
	id[CACHE_ID - 1] = '\0';
}
