#include "base/unit.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <time.h>

/* digits[.digits], at most 18 digits in all: exact in a long double. */
static const char *unit_number(const char *s, long double *value)
{
	long double v = 0, scale = 1;
	int digits = 0, after = 0;
	for (; isdigit((unsigned char)*s) || (*s == '.' && !after); s++) {
		if (*s == '.') {
			after = 1;
			continue;
		}
		if (++digits > 18)
			return NULL;
		v = v * 10 + (*s - '0');
		if (after)
			scale *= 10;
	}
	if (!digits || s[-1] == '.')
		return NULL;
	*value = v / scale;
	return s;
}

int unit_parse_size(const char *s, uint64_t *bytes)
{
	static const char letters[] = "KMGT";
	long double v;
	s = unit_number(s, &v);
	if (!s)
		return -1;
	const char *at = *s ? strchr(letters, *s) : NULL;
	if (at) {
		for (const char *l = letters; l <= at; l++)
			v *= 1024;
		s++;
		if (*s == 'i')
			s++;
	}
	if (*s == 'B')
		s++;
	if (*s || v > 9.2e18L)
		return -1;
	*bytes = (uint64_t)v;
	return 0;
}

int unit_parse_duration(const char *s, uint64_t *ms)
{
	static const struct {
		const char *name;
		long double ms;
	} units[] = {{"ms", 1}, {"s", 1e3L}, {"m", 6e4L}, {"h", 36e5L}, {"d", 864e5L}};
	long double total = 0;
	if (!strcmp(s, "0")) {
		*ms = 0;
		return 0;
	}
	if (!*s)
		return -1;
	while (*s) {
		long double v;
		size_t i;
		s = unit_number(s, &v);
		if (!s)
			return -1;
		size_t n = strspn(s, "mshd");
		for (i = 0; i < countof(units); i++)
			if (strlen(units[i].name) == n && !strncmp(s, units[i].name, n))
				break;
		if (i == countof(units))
			return -1;
		total += v * units[i].ms;
		s += n;
	}
	if (total > 9.2e18L)
		return -1;
	*ms = (uint64_t)total;
	return 0;
}

int unit_parse_count(const char *s, uint64_t *n)
{
	uint64_t v = 0;
	if (!*s || strlen(s) > 18)
		return -1;
	for (; *s; s++) {
		if (!isdigit((unsigned char)*s))
			return -1;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*n = v;
	return 0;
}

bool unit_is_day(const char *s)
{
	struct tm tm = {0};
	const char *end = strptime(s, "%Y-%m-%d", &tm);
	int day = tm.tm_mday; /* timegm makes a day there is of one there is not */
	return end && !*end && strlen(s) == 10 && timegm(&tm) >= 0 && tm.tm_mday == day;
}

const char *unit_size(uint64_t bytes, char *buf)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	size_t i = 0;
	for (; v >= 1023.95 && i + 1 < countof(names); i++)
		v /= 1024;
	snprintf(buf, UNIT_TEXT, i ? "%.1f %s" : "%.0f %s", v, names[i]);
	return buf;
}

const char *unit_duration(uint64_t ms, char *buf)
{
	uint64_t s = ms / 1000;
	if (ms < 1000)
		snprintf(buf, UNIT_TEXT, "%llu ms", (unsigned long long)ms);
	else if (ms < 59950)
		snprintf(buf, UNIT_TEXT, "%.1f s", (double)ms / 1000);
	else if (s < 3600)
		snprintf(buf, UNIT_TEXT, "%llu m %02llu s", (unsigned long long)(s / 60),
			 (unsigned long long)(s % 60));
	else
		snprintf(buf, UNIT_TEXT, "%llu h %02llu m", (unsigned long long)(s / 3600),
			 (unsigned long long)(s / 60 % 60));
	return buf;
}
