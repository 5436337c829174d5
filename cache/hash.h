/* A message digest that is started again and again without asking libcrypto for its parts each
 * time. One thread at a time. */
#pragma once
#include "cache/cache.h"

#include <openssl/evp.h>

#define HASH_HEX (2 * EVP_MAX_MD_SIZE + 1)

struct hash {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};

/* hash_open(h, "SHA256"): started. 0, or -1 if libcrypto does not know the name. hash_close frees;
 * of a zeroed one it does nothing. */
int hash_open(struct hash *h, const char *name) must_check;
void hash_close(struct hash *h);
void hash_add(struct hash *h, const void *bytes, size_t n);
/* hash_add_fd(h, fd, buffer, n, got): what a descriptor gives up to its end, read in pieces of at
 * most n bytes into buffer; *got, if asked for, is their number. 0, or -1 with errno. */
int hash_add_fd(struct hash *h, int fd, void *buffer, size_t n, uint64_t *got) must_check;
/* hash_hex(h, hex): the digest so far in lower-case hex; h is started afresh. */
void hash_hex(struct hash *h, char hex[HASH_HEX]);
/* hash_id(h, id): the same for SHA-256. */
void hash_id(struct hash *h, char id[CACHE_ID]);
