/*
 * sluice.h is what a guest for Sluice, written in C, includes. A guest decides about writes and reads of a project's
 * documents, as a policy (may this caller do this?) or as a hook (shall the document be so?):
 *
 *	#include "sluice.h"
 *
 *	static sluice_decision policy(const sluice_event *e) {
 *		double price;
 *		if (sluice_number(e->after, "price", &price) && price > 100)
 *			return sluice_deny("posts.price_too_high", "Set a price of 100 or less.");
 *		return sluice_allow();
 *	}
 *
 *	SLUICE_POLICY(policy)
 *
 * One source file of a guest includes it, and there is nothing else: no C library is needed. Documents are text that is
 * read when asked; nothing is parsed before. Every pointer that a guest is handed points into the event or into memory of
 * sluice_take, and is valid until it answers. Nothing is ever freed: after each event the host puts the guest's memory
 * back as it was, statics included. Text is UTF-8, has a size and no zero at its end.
 *
 * The scanner walks JSON that the host wrote, which is valid. On anything else it stops early; it never reads past the end.
 * Off WebAssembly the header compiles too, so that policies can be tested: see sluice_parse_event.
 */
#ifndef SLUICE_H
#define SLUICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLUICE_API static __attribute__((unused))
#define SLUICE_ONCE SLUICE_API __attribute__((noinline)) /* large and called often: one copy keeps a guest small */

/* ---- Words ---- */

/* Some bytes of UTF-8. at is NULL if they are missing. */
typedef struct {
	const char *at;
	uint32_t size;
} sluice_text;

/* Any JSON value, as its text. json is NULL if it is missing; null is a value. */
typedef struct {
	const char *json;
	uint32_t size;
} sluice_value;

/* A JSON object: a document, or one within a document. A missing one has no members. */
typedef struct {
	const char *json;
	uint32_t size;
} sluice_object;

typedef enum {
	SLUICE_INSERT = 1,
	SLUICE_UPDATE = 2,
	SLUICE_DELETE = 3,
	SLUICE_READ = 4,   /* a policy on a page of documents */
	SLUICE_FILTER = 5, /* before a list is read */
	SLUICE_SIGNUP = 6, /* a new account */
	SLUICE_CLAIMS = 7, /* what goes into an access token */
	SLUICE_UPLOAD = 8, /* a file that is to be stored */
} sluice_op;

typedef struct {
	sluice_text role;     /* "publishable" or "secret" */
	sluice_text user_id;  /* missing: nobody is logged in */
	sluice_object claims; /* of the caller's token */
} sluice_caller;

/* What a guest is asked to judge. */
typedef struct {
	sluice_text name; /* policy, filter, beforeInsert, beforeUpdate, beforeDelete, beforeSignup, claims or beforeUpload */
	sluice_op op;
	sluice_text collection;
	sluice_caller caller;
	sluice_object before;   /* stored document, the user's profile on claims; missing if there is none */
	sluice_object after;    /* document as it would be stored, the profile on signup, what is known of the file on upload; missing if there is none */
	sluice_value documents; /* on read: the page, for sluice_allow_each */
	int64_t now;            /* Unix milliseconds: the only clock there is */
	sluice_text request_id;
} sluice_event;

/* A guest's answer. One that is all zero says no without a reason, so that a forgotten answer refuses. */
typedef struct {
	bool yes;
	sluice_text value; /* JSON: the reason of a no, or what a yes brings along */
} sluice_decision;

typedef enum { SLUICE_DEBUG = 0, SLUICE_INFO = 1, SLUICE_WARN = 2, SLUICE_ERROR = 3 } sluice_level;

/* ---- Memory ---- */

#ifdef __wasm__

#define SLUICE_IMPORT(name) __attribute__((import_module("sluice"), import_name(name)))
#define SLUICE_EXPORT(name) __attribute__((export_name(name)))

SLUICE_IMPORT("log") void sluice_host_log(int32_t level, const char *at, uint32_t size);
SLUICE_IMPORT("get") int32_t sluice_host_get(const char *collection, uint32_t collection_size, const char *id, uint32_t id_size, char *out, uint32_t room);
SLUICE_IMPORT("find") int32_t sluice_host_find(const char *collection, uint32_t collection_size, const char *query, uint32_t query_size, char *out, uint32_t room);
SLUICE_IMPORT("count") int64_t sluice_host_count(const char *collection, uint32_t collection_size, const char *query, uint32_t query_size);
SLUICE_IMPORT("config") int32_t sluice_host_config(char *out, uint32_t room);

extern char __heap_base; /* the linker puts it behind statics */
static char *sluice_top; /* first free byte */

/* Fuel for growing would be charged wherever this were inlined, whether it is needed or not. */
SLUICE_ONCE void sluice_grow(size_t pages) {
	if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1)
		__builtin_trap();
}

/* Makes sure that the memory reaches up to end. Growing costs the instance: alloc has taken room for most events. */
SLUICE_API void sluice_reach(const char *end) {
	size_t pages = ((size_t)end + 65535) >> 16, have = __builtin_wasm_memory_size(0);
	if (pages > have)
		sluice_grow(pages - have);
}

/* Returns n bytes, aligned to 8; they belong to the guest until it answers. Too much memory refuses the operation. */
SLUICE_ONCE void *sluice_take(uint32_t n) {
	char *at = (char *)(((size_t)(sluice_top ? sluice_top : &__heap_base) + 7) & ~(size_t)7);
	if (n > (size_t)-1 - (size_t)at)
		__builtin_trap();
	sluice_top = at + n;
	sluice_reach(sluice_top);
	return at;
}

/* Makes n bytes of sluice_take more, in place if they were the last ones. */
SLUICE_ONCE char *sluice_extend(char *at, uint32_t size, uint32_t n) {
	if (at && at + size == sluice_top && n <= (size_t)-1 - (size_t)at) {
		sluice_top = at + n;
		sluice_reach(sluice_top);
		return at;
	}
	char *moved = sluice_take(n);
	if (size)
		__builtin_memcpy(moved, at, size);
	return moved;
}

#else /* a native build, for tests */

#include <stdlib.h>

#define SLUICE_EXPORT(name)

static struct sluice_block {
	struct sluice_block *next;
	double start[]; /* aligned for anything */
} *sluice_blocks;

SLUICE_ONCE void *sluice_take(uint32_t n) {
	struct sluice_block *b = malloc(sizeof *b + n);
	if (!b)
		abort();
	b->next = sluice_blocks;
	sluice_blocks = b;
	return b->start;
}

SLUICE_ONCE char *sluice_extend(char *at, uint32_t size, uint32_t n) {
	char *moved = sluice_take(n);
	if (size)
		__builtin_memcpy(moved, at, size);
	return moved;
}

/* Does what the host does after each event: all that sluice_take has given is gone. */
SLUICE_API void sluice_reset(void) {
	for (struct sluice_block *b; (b = sluice_blocks);) {
		sluice_blocks = b->next;
		free(b);
	}
}

SLUICE_API void sluice_host_log(int32_t level, const char *at, uint32_t size) { (void)level, (void)at, (void)size; }

/* Gives tests the documents that a policy reads: it is called with get and an id, with find or count and a query, or with
   config, and returns JSON text. NULL is no document, an empty array, 0 or {}. */
static const char *(*sluice_stub)(const char *function, sluice_text collection, sluice_text question);

SLUICE_API int32_t sluice_stubbed(const char *function, sluice_text collection, sluice_text question, const char *none, char *out, uint32_t room) {
	const char *text = sluice_stub ? sluice_stub(function, collection, question) : NULL;
	int32_t n = 0;
	if (!text && !(text = none))
		return -1;
	while (text[n])
		n++;
	if ((uint32_t)n <= room)
		__builtin_memcpy(out, text, (uint32_t)n);
	return n;
}

SLUICE_API int32_t sluice_host_get(const char *c, uint32_t n, const char *id, uint32_t id_size, char *out, uint32_t room) {
	return sluice_stubbed("get", (sluice_text){c, n}, (sluice_text){id, id_size}, NULL, out, room);
}

SLUICE_API int32_t sluice_host_find(const char *c, uint32_t n, const char *query, uint32_t size, char *out, uint32_t room) {
	return sluice_stubbed("find", (sluice_text){c, n}, (sluice_text){query, size}, "[]", out, room);
}

SLUICE_API int64_t sluice_host_count(const char *c, uint32_t n, const char *query, uint32_t size) {
	char digits[20];
	int64_t count = 0;
	int32_t end = sluice_stubbed("count", (sluice_text){c, n}, (sluice_text){query, size}, "0", digits, sizeof digits);
	for (int32_t i = 0; i < end; i++)
		count = count * 10 + (digits[i] - '0');
	return count;
}

SLUICE_API int32_t sluice_host_config(char *out, uint32_t room) {
	return sluice_stubbed("config", (sluice_text){0}, (sluice_text){0}, "{}", out, room);
}

#endif

/* ---- Text ---- */

/* Makes a text of a C string, borrowed. */
SLUICE_ONCE sluice_text sluice_of(const char *s) {
	uint32_t n = 0;
	while (s[n])
		n++;
	return (sluice_text){s, n};
}

/* What is called inside takes pointer and size apart, since WebAssembly passes a struct of two by way of memory. */
SLUICE_ONCE bool sluice_same(const char *a, const char *b, uint32_t n) {
	for (uint32_t i = 0; i < n; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

SLUICE_API bool sluice_equal(sluice_text a, sluice_text b) {
	return a.at && b.at && a.size == b.size && sluice_same(a.at, b.at, a.size);
}

SLUICE_API bool sluice_is(sluice_text a, const char *s) { return sluice_equal(a, sluice_of(s)); }

/* Writes one line to the project's log. The host keeps a few short lines of each event. */
SLUICE_API void sluice_log(sluice_level level, const char *line) {
	sluice_text t = sluice_of(line);
	sluice_host_log(level, t.at, t.size);
}

/* Gives up: the operation is refused, the caller learns nothing, and the log has the line. */
SLUICE_API __attribute__((noreturn)) void sluice_fail(const char *line) {
	sluice_log(SLUICE_ERROR, line);
	__builtin_trap();
}

/* A text that grows. A zero one is empty. */
typedef struct {
	char *at;
	uint32_t size, room;
} sluice_buffer;

/* Returns where n more bytes go, and counts them in. */
SLUICE_ONCE char *sluice_room(sluice_buffer *b, uint32_t n) {
	if (n > b->room - b->size) {
		uint32_t room = b->size + n;
		if (room < n)
			__builtin_trap();
		room = room > UINT32_MAX / 2 ? room : room + room / 2 + 64;
		b->at = sluice_extend(b->at, b->room, room);
		b->room = room;
	}
	b->size += n;
	return b->at + b->size - n;
}

SLUICE_ONCE void sluice_put(sluice_buffer *b, const char *at, uint32_t n) {
	if (n)
		__builtin_memcpy(sluice_room(b, n), at, n);
}

SLUICE_ONCE void sluice_put_byte(sluice_buffer *b, char c) { *sluice_room(b, 1) = c; }

SLUICE_ONCE void sluice_put_rune(sluice_buffer *b, uint32_t r) {
	uint32_t n = r < 0x80 ? 1 : r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
	char *p = sluice_room(b, n);
	for (uint32_t k = n; --k; r >>= 6)
		p[k] = (char)(0x80 | (r & 0x3f));
	p[0] = (char)(n == 1 ? r : (0xff00u >> n & 0xff) | r);
}

/* Returns how many bytes the character at s has, of n; 0 if there is none in UTF-8. */
SLUICE_ONCE uint32_t sluice_rune_size(const char *s, uint32_t n) {
	uint8_t first = (uint8_t)s[0];
	if (first < 0x80)
		return 1;
	uint32_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4, r = first & (0x7fu >> size);
	if (first < 0xc2 || first > 0xf4 || size > n)
		return 0;
	for (uint32_t k = 1; k < size; k++) {
		if (((uint8_t)s[k] & 0xc0) != 0x80)
			return 0;
		r = r << 6 | ((uint8_t)s[k] & 0x3f);
	}
	bool wrong = (size == 3 && r < 0x800) || (size == 4 && (r < 0x10000 || r > 0x10ffff)) || /* too long; too large */
		(r >= 0xd800 && r < 0xe000);                                                     /* half a pair */
	return wrong ? 0 : size;
}

/* Writes a JSON string. Bytes that are not UTF-8 become U+FFFD. */
SLUICE_ONCE void sluice_put_string(sluice_buffer *b, const char *s, uint32_t n) {
	sluice_put_byte(b, '"');
	for (uint32_t i = 0; i < n;) {
		uint32_t start = i, size = 0;
		while (i < n && (uint8_t)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' && (size = sluice_rune_size(s + i, n - i)))
			i += size;
		sluice_put(b, s + start, i - start);
		if (i == n)
			break;
		uint8_t c = (uint8_t)s[i++];
		if (c >= 0x80) {
			sluice_put(b, "\xef\xbf\xbd", 3);
		} else if (c >= 0x20) {
			sluice_put_byte(b, '\\');
			sluice_put_byte(b, (char)c);
		} else {
			sluice_put(b, c < 0x10 ? "\\u000" : "\\u001", 5);
			sluice_put_byte(b, "0123456789abcdef"[c & 15]);
		}
	}
	sluice_put_byte(b, '"');
}

SLUICE_ONCE void sluice_put_int(sluice_buffer *b, int64_t v) {
	char digits[20];
	uint32_t i = sizeof digits;
	uint64_t left = v < 0 ? -(uint64_t)v : (uint64_t)v;
	do
		digits[--i] = (char)('0' + left % 10);
	while (left /= 10);
	if (v < 0)
		sluice_put_byte(b, '-');
	sluice_put(b, digits + i, sizeof digits - i);
}

/* ---- The scanner ---- */

#define SLUICE_NONE UINT32_MAX /* no such position */

SLUICE_ONCE uint32_t sluice_skip_spaces(const char *s, uint32_t n, uint32_t i) {
	while (i < n && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r'))
		i++;
	return i;
}

/* Returns the first position from i on that holds no white space. The host writes next to none. */
SLUICE_API uint32_t sluice_skip_space(const char *s, uint32_t n, uint32_t i) {
	return i < n && s[i] <= ' ' ? sluice_skip_spaces(s, n, i) : i;
}

/* Marks, of eight bytes, the lowest one that is c, and none below it. */
#define SLUICE_ONES UINT64_C(0x0101010101010101)
#define SLUICE_FIND(word, c) ((((word) ^ SLUICE_ONES * (c)) - SLUICE_ONES) & ~((word) ^ SLUICE_ONES * (c)) & SLUICE_ONES << 7)

/* Returns the position of the first quote or backslash from i on; n if there is none. */
SLUICE_ONCE uint32_t sluice_find_special(const char *s, uint32_t n, uint32_t i) {
	for (; n - i >= 8; i += 8) {
		uint64_t word;
		__builtin_memcpy(&word, s + i, 8); /* little endian, as WebAssembly is */
		uint64_t found = SLUICE_FIND(word, '"') | SLUICE_FIND(word, '\\');
		if (found)
			return i + ((uint32_t)__builtin_ctzll(found) >> 3);
	}
	while (i < n && s[i] != '"' && s[i] != '\\')
		i++;
	return i;
}

/* Returns the position after the string whose first quote is at i. */
SLUICE_API uint32_t sluice_skip_string(const char *s, uint32_t n, uint32_t i) {
	for (i = sluice_find_special(s, n, i + 1); i < n; i = sluice_find_special(s, n, i)) {
		if (s[i] == '"')
			return i + 1;
		if (n - i < 2)
			break;
		i += 2;
	}
	return SLUICE_NONE;
}

/* Returns the position after the value that starts at i. */
SLUICE_ONCE uint32_t sluice_skip_value(const char *s, uint32_t n, uint32_t i) {
	if (i >= n)
		return SLUICE_NONE;
	if (s[i] == '"')
		return sluice_skip_string(s, n, i);
	uint32_t start = i;
	if ((s[i] | 0x20) != '{') { /* '[' | 0x20 is '{', and ']' | 0x20 is '}' */
		while (i < n && s[i] > ' ' && s[i] != ',' && (s[i] | 0x20) != '}')
			i++;
		return i == start ? SLUICE_NONE : i;
	}
	for (uint32_t depth = 0; i < n;) {
		char c = s[i];
		if (c == '"') {
			i = sluice_skip_string(s, n, i);
			continue; /* SLUICE_NONE is not below n */
		}
		i++;
		if ((c | 0x20) == '{')
			depth++;
		else if ((c | 0x20) == '}' && --depth == 0)
			return i;
	}
	return SLUICE_NONE;
}

/* Walks the members of an object or the items of an array. */
typedef struct {
	const char *text;
	uint32_t size, at; /* at: the next member or item; SLUICE_NONE: there is none */
} sluice_cursor;

SLUICE_ONCE void sluice_begin(sluice_cursor *c, const char *s, uint32_t n, char open) {
	uint32_t i = n ? sluice_skip_space(s, n, 0) : n;
	c->text = s, c->size = n, c->at = SLUICE_NONE;
	if (i >= n || s[i] != open)
		return;
	i = sluice_skip_space(s, n, i + 1);
	if (i < n && s[i] != open + 2) /* '{' + 2 is '}', '[' + 2 is ']' */
		c->at = i;
}

SLUICE_ONCE bool sluice_next(sluice_cursor *c, sluice_value *value) {
	uint32_t start = c->at, n = c->size;
	const char *s = c->text;
	c->at = SLUICE_NONE;
	uint32_t end = start < n ? sluice_skip_value(s, n, start) : SLUICE_NONE;
	if (end == SLUICE_NONE)
		return false;
	*value = (sluice_value){s + start, end - start};
	uint32_t i = sluice_skip_space(s, n, end);
	if (i < n && s[i] == ',')
		c->at = sluice_skip_space(s, n, i + 1);
	return true;
}

/* name is the member's name as it is written, with its quotes. */
SLUICE_ONCE bool sluice_next_quoted(sluice_cursor *c, sluice_text *name, sluice_value *value) {
	uint32_t start = c->at, n = c->size;
	const char *s = c->text;
	c->at = SLUICE_NONE;
	if (start >= n || s[start] != '"')
		return false;
	uint32_t end = sluice_skip_string(s, n, start);
	if (end == SLUICE_NONE)
		return false;
	uint32_t i = sluice_skip_space(s, n, end);
	if (i >= n || s[i] != ':')
		return false;
	*name = (sluice_text){s + start, end - start};
	c->at = sluice_skip_space(s, n, i + 1);
	return sluice_next(c, value);
}

/* Reads four hexadecimal digits; what is none counts as U+FFFD. */
SLUICE_API uint32_t sluice_hex4(const char *s, uint32_t n, uint32_t i) {
	uint32_t r = 0;
	if (n < 4 || i > n - 4)
		return 0xfffd;
	for (uint32_t k = 0; k < 4; k++) {
		char c = s[i + k], low = (char)(c | 0x20);
		if (c >= '0' && c <= '9')
			r = r << 4 | (uint32_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			r = r << 4 | (uint32_t)(low - 'a' + 10);
		else
			return 0xfffd;
	}
	return r;
}

/* Returns what a JSON string with its quotes stands for. Half surrogate pairs become U+FFFD. */
SLUICE_ONCE void sluice_unquote(const char *s, uint32_t n, sluice_text *out) {
	sluice_buffer b = {0};
	uint32_t i = 1, end = n - 1;
	for (;;) {
		uint32_t start = i;
		i = sluice_find_special(s, end, i);
		if (!b.at && i == end) { /* the usual case: nothing is escaped */
			*out = (sluice_text){s + 1, end - 1};
			return;
		}
		if (!b.at) /* what it stands for is never longer */
			sluice_room(&b, end), b.size = 0;
		sluice_put(&b, s + start, i - start);
		if (end - i < 2) {
			*out = (sluice_text){b.at, b.size};
			return;
		}
		char c = s[i + 1];
		i += 2;
		if (c != 'u') {
			static const char names[] = "b\bf\fn\nr\rt\t";
			for (uint32_t k = 0; k < 10; k += 2)
				if (c == names[k]) {
					c = names[k + 1];
					break;
				}
			sluice_put_byte(&b, c);
			continue;
		}
		uint32_t r = sluice_hex4(s, end, i), low = 0;
		i = end - i < 4 ? end : i + 4;
		if (r >> 11 == 0xd800 >> 11) {
			if (r < 0xdc00 && end - i >= 2 && s[i] == '\\' && s[i + 1] == 'u')
				low = sluice_hex4(s, end, i + 2);
			if (low >> 10 == 0xdc00 >> 10) {
				r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
				i += 6;
			} else {
				r = 0xfffd;
			}
		}
		sluice_put_rune(&b, r);
	}
}

/* Tells whether a member's name of n bytes, its quotes included, is want. */
SLUICE_ONCE bool sluice_same_name(const char *s, uint32_t n, const char *want, uint32_t size) {
	if (n - 2 == size)
		return sluice_same(s + 1, want, size);
	/* A name with escapes is longer than what it stands for. */
	if (n - 2 < size || sluice_find_special(s, n - 1, 1) == n - 1)
		return false;
	sluice_text plain;
	sluice_unquote(s, n, &plain);
	return plain.size == size && sluice_same(plain.at, want, size);
}

/* ---- Numbers ---- */

/* A large number: words[36] is that of the ones, those below it are its fraction, more says that something was cut off
   below. There is room for 800 digits, and no number halfway between two doubles has more. */
#define SLUICE_ONE 36

typedef struct {
	uint32_t words[128];
	bool more;
} sluice_big;

SLUICE_ONCE void sluice_big_multiply(sluice_big *b, uint32_t by, uint32_t add) {
	uint64_t carry = 0;
	for (uint32_t i = 0; i < 128; i++) {
		carry += (uint64_t)b->words[i] * by + (i == SLUICE_ONE ? add : 0);
		b->words[i] = (uint32_t)carry;
		carry >>= 32;
	}
}

/* Multiplies by ten to the power of exponent. */
SLUICE_ONCE void sluice_big_scale(sluice_big *b, int32_t exponent) {
	while (exponent != 0) {
		uint32_t tens = 1;
		int32_t step = exponent < 0 ? 1 : -1;
		for (uint32_t i = 0; i < 9 && exponent != 0; i++, exponent += step)
			tens *= 10;
		if (step < 0) {
			sluice_big_multiply(b, tens, 0);
			continue;
		}
		uint64_t rest = 0;
		for (uint32_t i = 128; i-- > 0; rest %= tens) {
			rest = rest << 32 | b->words[i];
			b->words[i] = (uint32_t)(rest / tens);
		}
		b->more |= rest != 0;
	}
}

/* Gives the nearest double, halves to the even one; false if there is none: too large. */
SLUICE_ONCE bool sluice_big_nearest(const sluice_big *b, double *out) {
	uint32_t i = 127;
	while (i > 1 && !b->words[i])
		i--;
	uint64_t top = (uint64_t)b->words[i] << 32 | b->words[i - 1], bits = 0; /* the first 64 bits from the highest on */
	int32_t free = __builtin_clz(b->words[i] | 1), exponent = 32 * ((int32_t)i - SLUICE_ONE) + 31 - free;
	int32_t drop = exponent >= -1022 ? 11 : 11 - 1022 - exponent; /* the smallest doubles have fewer bits */
	if (i > 1 && drop <= 64) {
		uint64_t next = (uint64_t)b->words[i - 2] << free;
		bool more = b->more || (uint32_t)next;
		for (uint32_t k = 0; k < i - 2; k++)
			more |= b->words[k] != 0;
		top = top << free | next >> 32;
		uint64_t half = UINT64_C(1) << (drop - 1), cut = top & (half | (half - 1));
		bits = drop < 64 ? top >> drop : 0;
		bits += cut > half || (cut == half && (more || bits & 1));
		if (exponent >= -1022) /* adding lets a carry out of the fraction raise the exponent */
			bits += (uint64_t)(exponent + 1022) << 52;
		if (bits >= UINT64_C(0x7ff) << 52)
			return false;
	}
	__builtin_memcpy(out, &bits, 8);
	return true;
}

/* Makes b the number that the first 800 digits of s make, without its point. */
SLUICE_ONCE void sluice_big_read(sluice_big *b, const char *s, uint32_t n) {
	uint32_t digits = 0; /* but for zeros in front */
	__builtin_memset(b, 0, sizeof *b);
	for (uint32_t i = 0; i < n && (s[i] | 0x20) != 'e'; i++) {
		uint8_t digit = (uint8_t)(s[i] - '0');
		if (digit > 9) /* sign or point */
			continue;
		digits += digits || digit;
		if (digits <= 800)
			sluice_big_multiply(b, 10, digit);
		else
			b->more |= digit != 0;
	}
}

/* Reads a JSON number; false if the text is none, or too large for a double. */
SLUICE_ONCE bool sluice_parse_number(const char *s, uint32_t n, double *out) {
	bool minus = n && s[0] == '-', dot = false, any = false;
	uint32_t i = minus;
	int32_t exponent = 0, e = 0, digits = 0; /* digits: but for zeros in front */
	double v = 0, tens = 1;
	for (; i < n; i++) {
		uint8_t digit = (uint8_t)(s[i] - '0');
		if (s[i] == '.' && any && !dot) {
			dot = true, any = false;
			continue;
		}
		if (digit > 9)
			break;
		any = true;
		digits += digits || digit;
		exponent -= dot;
		v = v * 10 + digit;
	}
	if (!any)
		return false;
	if (i < n && (s[i] | 0x20) == 'e') {
		bool less = ++i < n && s[i] == '-';
		if (i < n && (s[i] == '-' || s[i] == '+'))
			i++;
		for (any = false; i < n && (uint8_t)(s[i] - '0') < 10; i++, any = true)
			e = e < 100000000 ? e * 10 + (s[i] - '0') : e;
		exponent += less ? -e : e;
	}
	if (!any || i < n)
		return false;
	if (digits <= 15 && exponent >= -22 && exponent <= 22) { /* both are exact, so there is one rounding */
		for (e = exponent < 0 ? -exponent : exponent; e > 0; e--)
			tens *= 10;
		v = exponent < 0 ? v / tens : v * tens;
	} else if (digits == 0 || exponent + digits < -330) {
		v = 0;
	} else if (exponent + digits > 310) {
		return false;
	} else {
		sluice_big big;
		sluice_big_read(&big, s, n);
		sluice_big_scale(&big, digits > 800 ? exponent + digits - 800 : exponent);
		if (!sluice_big_nearest(&big, &v))
			return false;
	}
	*out = minus ? -v : v;
	return true;
}

/* Writes a number, so that reading it gives v back; null if JSON cannot write it (an infinity, not a number). */
SLUICE_ONCE void sluice_put_number(sluice_buffer *b, double v) {
	uint64_t bits;
	__builtin_memcpy(&bits, &v, 8);
	int32_t exponent = (int32_t)(bits >> 52 & 0x7ff);
	if (exponent == 0x7ff) {
		sluice_put(b, "null", 4);
		return;
	}
	if (bits >> 63) {
		sluice_put_byte(b, '-');
		v = -v;
	}
	if (v < 9007199254740992.0 && v == (double)(int64_t)v) {
		sluice_put_int(b, (int64_t)v);
		return;
	}
	sluice_big exact, big;
	__builtin_memset(&exact, 0, sizeof exact);
	bits &= (UINT64_C(1) << 52) - 1;
	bits |= exponent ? UINT64_C(1) << 52 : 0;
	uint32_t at = 32 * SLUICE_ONE - 1075 + (uint32_t)(exponent ? exponent : 1); /* position of the lowest bit */
	exact.words[at / 32] = (uint32_t)(bits << at % 32);
	exact.words[at / 32 + 1] = (uint32_t)(bits << at % 32 >> 32);
	exact.words[at / 32 + 2] = (uint32_t)(bits >> 32 >> (32 - at % 32));
	int32_t highest = (int32_t)at + 63 - __builtin_clzll(bits) - 32 * SLUICE_ONE; /* bit */
	/* Whatever was written with 15 digits is found with 15, and 17 always do. */
	uint64_t digits = 0, limit = UINT64_C(100000000000000);
	int32_t size = 14, point = 0; /* the number is 0.digits times ten to the power of point */
	for (double back = -1; back != v;) {
		size++;
		limit *= 10;
		/* The guess of the logarithm is never too large, and a little too small at most. */
		for (point = (int32_t)(highest * 0.30103 - 1);; point++) {
			big = exact;
			sluice_big_scale(&big, size - point);
			digits = (uint64_t)big.words[SLUICE_ONE + 1] << 32 | big.words[SLUICE_ONE];
			if (!big.words[SLUICE_ONE + 2] && digits < limit)
				break;
		}
		digits += big.words[SLUICE_ONE - 1] >> 31;
		if (digits == limit)
			digits /= 10, point++;
		__builtin_memset(&big, 0, sizeof big);
		big.words[SLUICE_ONE] = (uint32_t)digits;
		big.words[SLUICE_ONE + 1] = (uint32_t)(digits >> 32);
		sluice_big_scale(&big, point - size);
		if (size == 17)
			break;
		sluice_big_nearest(&big, &back); /* one that is too large leaves it as it is */
	}
	char text[17];
	for (int32_t i = size; i-- > 0; digits /= 10)
		text[i] = (char)('0' + digits % 10);
	while (text[size - 1] == '0')
		size--;
	bool plain = point > -6 && point <= 21; /* as JavaScript writes numbers */
	int32_t dot = plain ? point : 1;
	if (dot <= 0)
		sluice_put(b, "0.000000", (uint32_t)(2 - dot));
	for (int32_t i = 0; i < size || i < dot; i++) {
		if (i == dot && i > 0)
			sluice_put_byte(b, '.');
		sluice_put_byte(b, i < size ? text[i] : '0');
	}
	if (!plain) {
		sluice_put_byte(b, 'e');
		sluice_put_int(b, point - 1);
	}
}

/* ---- Values ---- */

SLUICE_API bool sluice_is_null(sluice_value v) { return sluice_is((sluice_text){v.json, v.size}, "null"); }

SLUICE_ONCE bool sluice_unquote_if(const char *s, uint32_t n, sluice_text *out) {
	if (n < 2 || s[0] != '"')
		return false;
	sluice_unquote(s, n, out);
	return true;
}

SLUICE_API bool sluice_as_string(sluice_value v, sluice_text *out) { return sluice_unquote_if(v.json, v.size, out); }

SLUICE_API bool sluice_as_number(sluice_value v, double *out) { return sluice_parse_number(v.json, v.size, out); }

/* Reads a whole number, written without point and exponent, that fits in 64 bits. */
SLUICE_ONCE bool sluice_parse_int(const char *s, uint32_t n, int64_t *out) {
	bool minus = n && s[0] == '-';
	uint64_t v = 0, most = (uint64_t)INT64_MAX + minus;
	if (n == minus)
		return false;
	for (uint32_t i = minus; i < n; i++) {
		uint8_t digit = (uint8_t)(s[i] - '0');
		if (digit > 9 || v > (most - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = (int64_t)(minus ? -v : v);
	return true;
}

SLUICE_API bool sluice_as_int(sluice_value v, int64_t *out) { return sluice_parse_int(v.json, v.size, out); }

SLUICE_API bool sluice_as_bool(sluice_value v, bool *out) {
	sluice_text t = {v.json, v.size};
	if (!sluice_is(t, "true") && !sluice_is(t, "false"))
		return false;
	*out = v.json[0] == 't';
	return true;
}

/* The missing object if the value is none. */
SLUICE_API sluice_object sluice_as_object(sluice_value v) {
	return v.size && v.json[0] == '{' ? (sluice_object){v.json, v.size} : (sluice_object){0};
}

/* Begins to walk the items of an array; there are none if the value is no array. Go on with sluice_next. */
SLUICE_API sluice_cursor sluice_items(sluice_value v) {
	sluice_cursor c;
	sluice_begin(&c, v.json, v.size, '[');
	return c;
}

/* ---- Objects ---- */

/* Takes JSON text as an object, borrowed; the missing one if it is none. */
SLUICE_API sluice_object sluice_parse(const char *s, uint32_t n) {
	uint32_t i = sluice_skip_space(s, n, 0);
	uint32_t end = i < n && s[i] == '{' ? sluice_skip_value(s, n, i) : SLUICE_NONE;
	return end == SLUICE_NONE ? (sluice_object){0} : (sluice_object){s + i, end - i};
}

SLUICE_API bool sluice_exists(sluice_object o) { return o.json != NULL; }

/* Begins to walk the members of an object. Go on with sluice_next_member. */
SLUICE_API sluice_cursor sluice_members(sluice_object o) {
	sluice_cursor c;
	sluice_begin(&c, o.json, o.size, '{');
	return c;
}

SLUICE_API bool sluice_next_member(sluice_cursor *c, sluice_text *name, sluice_value *value) {
	if (!sluice_next_quoted(c, name, value))
		return false;
	sluice_unquote(name->at, name->size, name);
	return true;
}

/* Finds several members in one walk, whose names the host writes without escapes: values[i] is that of names[i], which
   has its quotes, or the missing one. */
SLUICE_ONCE void sluice_get_all(const char *s, uint32_t size, uint32_t n, const sluice_text names[], sluice_value values[]) {
	sluice_cursor c;
	sluice_text quoted;
	sluice_value value;
	for (uint32_t i = 0; i < n; i++)
		values[i] = (sluice_value){0};
	sluice_begin(&c, s, size, '{');
	while (sluice_next_quoted(&c, &quoted, &value))
		for (uint32_t i = 0; i < n; i++)
			if (quoted.size == names[i].size && sluice_same(quoted.at, names[i].at, quoted.size)) {
				values[i] = value;
				break;
			}
}

/* Returns a member's value; the missing one if there is no such member. The first of two of one name counts. */
SLUICE_ONCE sluice_value sluice_get(sluice_object o, const char *name) {
	sluice_text want = sluice_of(name), quoted;
	sluice_value value;
	sluice_cursor c = sluice_members(o);
	while (sluice_next_quoted(&c, &quoted, &value))
		if (sluice_same_name(quoted.at, quoted.size, want.at, want.size))
			return value;
	return (sluice_value){0};
}

/* These four tell whether the member is there and of that type, and leave out alone if not. */

SLUICE_API bool sluice_string(sluice_object o, const char *name, sluice_text *out) {
	return sluice_as_string(sluice_get(o, name), out);
}

SLUICE_API bool sluice_number(sluice_object o, const char *name, double *out) {
	return sluice_as_number(sluice_get(o, name), out);
}

SLUICE_API bool sluice_int(sluice_object o, const char *name, int64_t *out) {
	return sluice_as_int(sluice_get(o, name), out);
}

SLUICE_API bool sluice_bool(sluice_object o, const char *name, bool *out) {
	return sluice_as_bool(sluice_get(o, name), out);
}

/* Tells whether a member is there and true. */
SLUICE_API bool sluice_true(sluice_object o, const char *name) {
	bool value = false;
	return sluice_bool(o, name, &value) && value;
}

/* Returns a member that is an object; the missing one otherwise. */
SLUICE_API sluice_object sluice_child(sluice_object o, const char *name) { return sluice_as_object(sluice_get(o, name)); }

/* ---- Editing ---- */

/* Makes a new object from an old one: members keep their place and text unless they are set or removed, new ones come
   last. A zero one makes an object from nothing. */
typedef struct sluice_change {
	struct sluice_change *next;
	sluice_text name;
	sluice_text json; /* missing: remove the member */
	bool written;
} sluice_change;

typedef struct {
	sluice_object base;
	sluice_change *first, *last;
} sluice_edit;

/* Begins with the members of o, borrowed; with none if it is missing. */
SLUICE_API sluice_edit sluice_edit_of(sluice_object o) { return (sluice_edit){.base = o}; }

/* Sets a member to JSON text, borrowed, which the caller answers for. The last word on a name counts. */
SLUICE_ONCE void sluice_set_json(sluice_edit *e, const char *name, sluice_text json) {
	sluice_text wanted = sluice_of(name);
	sluice_change *c = e->first;
	while (c && !sluice_equal(c->name, wanted))
		c = c->next;
	if (!c) {
		c = sluice_take(sizeof *c);
		c->next = NULL;
		c->name = wanted;
		if (e->last)
			e->last->next = c;
		else
			e->first = c;
		e->last = c;
	}
	c->json = json;
}

SLUICE_API void sluice_remove(sluice_edit *e, const char *name) { sluice_set_json(e, name, (sluice_text){0}); }

SLUICE_API void sluice_set_null(sluice_edit *e, const char *name) { sluice_set_json(e, name, sluice_of("null")); }

SLUICE_API void sluice_set_bool(sluice_edit *e, const char *name, bool value) {
	sluice_set_json(e, name, sluice_of(value ? "true" : "false"));
}

/* Sets a member to a string. Bytes that are not UTF-8 become U+FFFD. */
SLUICE_API void sluice_set_string(sluice_edit *e, const char *name, sluice_text value) {
	sluice_buffer b = {0};
	sluice_put_string(&b, value.at, value.size);
	sluice_set_json(e, name, (sluice_text){b.at, b.size});
}

SLUICE_API void sluice_set_int(sluice_edit *e, const char *name, int64_t value) {
	sluice_buffer b = {0};
	sluice_put_int(&b, value);
	sluice_set_json(e, name, (sluice_text){b.at, b.size});
}

/* Sets a member to a number; to null if JSON cannot write it (an infinity, not a number). */
SLUICE_API void sluice_set_number(sluice_edit *e, const char *name, double value) {
	sluice_buffer b = {0};
	sluice_put_number(&b, value);
	sluice_set_json(e, name, (sluice_text){b.at, b.size});
}

/* Sets a member to an object; to null if it is missing. */
SLUICE_API void sluice_set_object(sluice_edit *e, const char *name, sluice_object value) {
	sluice_set_json(e, name, sluice_exists(value) ? (sluice_text){value.json, value.size} : sluice_of("null"));
}

/* Returns what was made. The edit may be used on. */
SLUICE_API sluice_object sluice_edited(sluice_edit *e) {
	sluice_buffer b = {0};
	uint32_t size = e->base.size + 2;
	for (sluice_change *c = e->first; c; c = c->next) {
		c->written = false;
		size += c->name.size + c->json.size + 8;
	}
	sluice_room(&b, size);
	b.size = 0;
	sluice_put_byte(&b, '{');
	sluice_text quoted;
	sluice_value value;
	for (sluice_cursor at = sluice_members(e->base); sluice_next_quoted(&at, &quoted, &value);) {
		sluice_change *c = e->first;
		while (c && !sluice_same_name(quoted.at, quoted.size, c->name.at, c->name.size))
			c = c->next;
		if (c) {
			c->written = true;
			value = (sluice_value){c->json.at, c->json.size};
		}
		if (!value.json)
			continue;
		if (b.size > 1)
			sluice_put_byte(&b, ',');
		sluice_put(&b, quoted.at, quoted.size);
		sluice_put_byte(&b, ':');
		sluice_put(&b, value.json, value.size);
	}
	for (sluice_change *c = e->first; c; c = c->next) {
		if (c->written || !c->json.at)
			continue;
		if (b.size > 1)
			sluice_put_byte(&b, ',');
		sluice_put_string(&b, c->name.at, c->name.size);
		sluice_put_byte(&b, ':');
		sluice_put(&b, c->json.at, c->json.size);
	}
	sluice_put_byte(&b, '}');
	return (sluice_object){b.at, b.size};
}

/* A JSON array in the making. A zero one is empty. */
typedef struct {
	sluice_buffer text;
} sluice_list;

SLUICE_API void sluice_add_json(sluice_list *l, sluice_text json) {
	sluice_put_byte(&l->text, l->text.size ? ',' : '[');
	sluice_put(&l->text, json.at, json.size);
}

SLUICE_API void sluice_add_object(sluice_list *l, sluice_object o) { sluice_add_json(l, (sluice_text){o.json, o.size}); }

SLUICE_API void sluice_add_string(sluice_list *l, sluice_text value) {
	sluice_put_byte(&l->text, l->text.size ? ',' : '[');
	sluice_put_string(&l->text, value.at, value.size);
}

/* Sets a member to an array, to which nothing is added any more. */
SLUICE_API void sluice_set_list(sluice_edit *e, const char *name, sluice_list *l) {
	sluice_put(&l->text, "[]", l->text.size ? 0 : 1);
	sluice_put_byte(&l->text, ']');
	sluice_set_json(e, name, (sluice_text){l->text.at, l->text.size});
}

/* ---- Reading ---- */

/* What a guest reads comes from the state on which the request is judged: a write that was allowed by it takes place only
   if it still holds. The manifest must grant each collection (grants.read); reading any other refuses the operation, and
   so does reading too much. docs/abi.md has the language of queries, which are made with sluice_edit. */

#define SLUICE_ROOM 4096 /* most documents fit; for one that does not, the host is asked again */

/* Returns the document that has the given _id; the missing one if there is none. */
SLUICE_API sluice_object sluice_read(const char *collection, sluice_text id) {
	sluice_text c = sluice_of(collection);
	char *at = sluice_take(SLUICE_ROOM);
	int32_t n = sluice_host_get(c.at, c.size, id.at, id.size, at, SLUICE_ROOM);
	if (n > SLUICE_ROOM) {
		at = sluice_extend(at, SLUICE_ROOM, (uint32_t)n);
		n = sluice_host_get(c.at, c.size, id.at, id.size, at, (uint32_t)n);
	}
	return n < 0 ? (sluice_object){0} : sluice_parse(at, (uint32_t)n);
}

/* Returns the array of the documents that a query finds, for sluice_items. */
SLUICE_API sluice_value sluice_find(const char *collection, sluice_object query) {
	sluice_text c = sluice_of(collection);
	char *at = sluice_take(SLUICE_ROOM);
	int32_t n = sluice_host_find(c.at, c.size, query.json, query.size, at, SLUICE_ROOM);
	if (n > SLUICE_ROOM) {
		at = sluice_extend(at, SLUICE_ROOM, (uint32_t)n);
		n = sluice_host_find(c.at, c.size, query.json, query.size, at, (uint32_t)n);
	}
	return (sluice_value){at, (uint32_t)n};
}

/* Returns how many documents a query finds. */
SLUICE_API int64_t sluice_count(const char *collection, sluice_object query) {
	sluice_text c = sluice_of(collection);
	return sluice_host_count(c.at, c.size, query.json, query.size);
}

/* Returns what the bundle's manifest has under config. It may be read in what SLUICE_INIT names. */
SLUICE_API sluice_object sluice_config(void) {
	char *at = sluice_take(SLUICE_ROOM);
	int32_t n = sluice_host_config(at, SLUICE_ROOM);
	if (n > SLUICE_ROOM) {
		at = sluice_extend(at, SLUICE_ROOM, (uint32_t)n);
		n = sluice_host_config(at, (uint32_t)n);
	}
	return sluice_parse(at, (uint32_t)n);
}

/* ---- Decisions ---- */

/* Says yes. A hook leaves the document as it is. */
SLUICE_API sluice_decision sluice_allow(void) { return (sluice_decision){.yes = true}; }

/* Says no with a reason and an HTTP status from 400 to 499; 0 is the host's choice, 422 before a change and 403 else. code
   is stable and for programs: at most 64 bytes of a to z, 0 to 9, dot and underscore. message is for people and says
   what to do; over 500 bytes it is cut. */
SLUICE_API sluice_decision sluice_deny_status(const char *code, const char *message, int status) {
	sluice_buffer b = {0};
	sluice_text text = sluice_of(message);
	if (text.size > 500) {
		text.size = 500;
		while (text.size && (text.at[text.size] & 0xc0) == 0x80) /* not within a character */
			text.size--;
	}
	sluice_put(&b, "{\"code\":", 8);
	sluice_put_string(&b, code, sluice_of(code).size);
	sluice_put(&b, ",\"message\":", 11);
	sluice_put_string(&b, text.at, text.size);
	if (status) {
		sluice_put(&b, ",\"status\":", 10);
		sluice_put_int(&b, status);
	}
	sluice_put_byte(&b, '}');
	return (sluice_decision){.value = {b.at, b.size}};
}

/* Says no with a reason for the caller. */
SLUICE_API sluice_decision sluice_deny(const char *code, const char *message) { return sluice_deny_status(code, message, 0); }

/* From a hook before an insert, an update or a signup: says yes with another document. */
SLUICE_API sluice_decision sluice_replace(sluice_object document) {
	return (sluice_decision){.yes = true, .value = {document.json, document.size}};
}

/* From a filter: lists find only documents that the query finds, which has where or any and nothing else. */
SLUICE_API sluice_decision sluice_restrict(sluice_object query) { return sluice_replace(query); }

/* From claims: puts the members of an object into the user's access token. */
SLUICE_API sluice_decision sluice_grant(sluice_object claims) { return sluice_replace(claims); }

/* From a policy on read: says for each document of the page whether the caller may see it. */
SLUICE_API sluice_decision sluice_allow_each(const sluice_event *e, bool (*may)(const sluice_event *, sluice_object)) {
	sluice_buffer b = {0};
	sluice_value item;
	sluice_put(&b, "{\"allow\":[", 10);
	for (sluice_cursor c = sluice_items(e->documents); sluice_next(&c, &item);) {
		if (b.size > 10)
			sluice_put_byte(&b, ',');
		if (may(e, sluice_as_object(item)))
			sluice_put(&b, "true", 4);
		else
			sluice_put(&b, "false", 5);
	}
	sluice_put(&b, "]}", 2);
	return (sluice_decision){.yes = true, .value = {b.at, b.size}};
}

/* ---- Events ---- */

SLUICE_API bool sluice_logged_in(const sluice_event *e) { return e->caller.user_id.size > 0; }

/* Reads an event from its JSON text, borrowed, as docs/abi.md describes it. What it does not know is ignored. False if the
   text is no object. */
SLUICE_ONCE bool sluice_parse_event(sluice_op op, const char *s, uint32_t n, sluice_event *e) {
#define SLUICE_NAME(name) {"\"" name "\"", sizeof name + 1}
	static const sluice_text names[] = {SLUICE_NAME("event"), SLUICE_NAME("collection"), SLUICE_NAME("requestId"), SLUICE_NAME("now"),
		SLUICE_NAME("caller"), SLUICE_NAME("before"), SLUICE_NAME("after"), SLUICE_NAME("documents")};
	static const sluice_text caller_names[] = {SLUICE_NAME("role"), SLUICE_NAME("userId"), SLUICE_NAME("claims")};
	sluice_value v[8], caller[3];
	*e = (sluice_event){.op = op};
	uint32_t start = sluice_skip_space(s, n, 0);
	if (start >= n || s[start] != '{')
		return false;
	sluice_get_all(s, n, 8, names, v);
	sluice_get_all(v[4].json, v[4].size, 3, caller_names, caller);
	sluice_as_string(v[0], &e->name);
	sluice_as_string(v[1], &e->collection);
	sluice_as_string(v[2], &e->request_id);
	sluice_as_int(v[3], &e->now);
	sluice_as_string(caller[0], &e->caller.role);
	sluice_as_string(caller[1], &e->caller.user_id);
	e->caller.claims = sluice_as_object(caller[2]);
	e->before = sluice_as_object(v[5]);
	e->after = sluice_as_object(v[6]);
	e->documents = v[7];
	return true;
}

/* ---- The guest contract ---- */

static char *sluice_events; /* the host writes them here */

SLUICE_EXPORT("abi_version") int32_t sluice_abi_version(void);
int32_t sluice_abi_version(void) { return 1; }

SLUICE_EXPORT("alloc") char *sluice_alloc(uint32_t n);
char *sluice_alloc(uint32_t n) {
	sluice_events = sluice_take(n);
#ifdef __wasm__
	sluice_reach(sluice_top + n + 65536); /* an answer as large as an event, and some room to make it in */
#endif
	return sluice_events;
}

/* Runs one of the guest's functions and packs its answer into the result of the contract. */
SLUICE_API int64_t sluice_answer(sluice_decision (*decide)(const sluice_event *), int32_t op, uint32_t n) {
	sluice_event e;
	if (!sluice_parse_event((sluice_op)op, sluice_events, n, &e))
		sluice_fail("sluice: the event is not a JSON object");
	sluice_decision d = decide(&e);
	if (!d.value.at)
		return d.yes;
	return (int64_t)((uint64_t)!d.yes << 63 | (uint64_t)(uintptr_t)d.value.at << 32 | d.value.size);
}

/* Say once which function answers when the manifest binds the module to policy or filter, which to any other event, and which
   makes ready what every event then finds. */
#define SLUICE_POLICY(decide)                                                     \
	SLUICE_EXPORT("policy") int64_t sluice_policy(int32_t op, uint32_t n);        \
	int64_t sluice_policy(int32_t op, uint32_t n) {                               \
		return sluice_answer(decide, op, n);                                      \
	}

#define SLUICE_HOOK(decide)                                                       \
	SLUICE_EXPORT("hook") int64_t sluice_hook(int32_t op, uint32_t n);            \
	int64_t sluice_hook(int32_t op, uint32_t n) {                                 \
		return sluice_answer(decide, op, n);                                      \
	}

#define SLUICE_INIT(prepare)                                                      \
	SLUICE_EXPORT("init") void sluice_init(void);                                 \
	void sluice_init(void) { prepare(); }

#endif
