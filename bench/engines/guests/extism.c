/*
 * The same policy with the same scanner, as a plugin of Extism. A plugin fetches its input by calls of the host, eight bytes each
 * as long as there are eight, which is how Extism's own library for C does it.
 */
#include "price.h"

#define EXTISM(name) __attribute__((import_module("extism:host/env"), import_name(name)))

EXTISM("input_length") uint64_t extism_input_length(void);
EXTISM("input_load_u64") uint64_t extism_input_load_u64(uint64_t at);
EXTISM("input_load_u8") uint32_t extism_input_load_u8(uint64_t at);

static char event[64 << 10];

/* Returns 0 for yes, as a plugin says that all is well. */
__attribute__((export_name("judge"))) int32_t judge(void) {
	uint32_t n = (uint32_t)extism_input_length(), i = 0;
	sluice_event e;
	if (n > sizeof event)
		return 2;
	for (; i + 8 <= n; i += 8) {
		uint64_t word = extism_input_load_u64(i);
		__builtin_memcpy(event + i, &word, 8);
	}
	for (; i < n; i++)
		event[i] = (char)extism_input_load_u8(i);
	if (!sluice_parse_event(SLUICE_INSERT, event, n, &e))
		return 2;
	return policy(&e).yes ? 0 : 1;
}
