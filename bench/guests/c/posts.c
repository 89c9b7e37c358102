/* A price above 100 is refused, and the title is rewritten. */
#include "sdk/sluice.h"

static sluice_decision hook(const sluice_event *e) {
	double price;
	sluice_text title;
	if (sluice_number(e->after, "price", &price) && price > 100)
		return sluice_deny("posts.price_too_high", "price must be <= 100");
	if (!sluice_string(e->after, "title", &title))
		return sluice_allow();
	char *lower = sluice_take(title.size);
	for (uint32_t i = 0; i < title.size; i++) {
		char c = title.at[i];
		lower[i] = c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
	}
	sluice_edit edit = sluice_edit_of(e->after);
	sluice_set_string(&edit, "title", (sluice_text){lower, title.size});
	return sluice_replace(sluice_edited(&edit));
}

SLUICE_HOOK(hook)
