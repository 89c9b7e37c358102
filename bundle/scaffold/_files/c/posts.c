/*
 * Guards the collection posts: a policy on its prices, and a hook that makes slugs and keeps locked posts as they are.
 */
#include "sdk/sluice.h"

enum { max_price = 100 }; /* that a post may ask */

/* policy answers: may this caller do this? */
static sluice_decision policy(const sluice_event *e) {
	double price;
	if (sluice_number(e->after, "price", &price) && price > max_price)
		return sluice_deny("posts.price_too_high", "Set a price of 100 or less.");
	return sluice_allow();
}

/* slug turns a title into the last part of an address: ASCII letters in lower case and digits, with one dash between words. */
static sluice_text slug(sluice_text title) {
	char *out = sluice_take(title.size);
	uint32_t n = 0;
	bool dash = false;
	for (uint32_t i = 0; i < title.size; i++) {
		char c = title.at[i];
		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) {
			dash = n > 0;
			continue;
		}
		if (dash)
			out[n++] = '-';
		dash = false;
		out[n++] = c;
	}
	return (sluice_text){out, n};
}

/* hook answers: shall the document be so? */
static sluice_decision hook(const sluice_event *e) {
	sluice_text title;
	if (sluice_true(e->before, "locked") && sluice_true(e->after, "locked"))
		return sluice_deny_status("posts.locked", "Unlock the post first.", 409);
	if (!sluice_string(e->after, "title", &title))
		return sluice_allow(); /* the schema refuses a post without a title, in better words */
	sluice_edit edit = sluice_edit_of(e->after);
	sluice_set_string(&edit, "slug", slug(title));
	return sluice_replace(sluice_edited(&edit));
}

SLUICE_POLICY(policy)
SLUICE_HOOK(hook)
