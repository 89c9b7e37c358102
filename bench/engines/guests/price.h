/* The policy of the comparison: nobody asks for more than 100. */
#include "../../../sdk/c/sluice.h"

static sluice_decision policy(const sluice_event *e) {
	double price;
	if (sluice_number(e->after, "price", &price) && price <= 100)
		return sluice_allow();
	return sluice_deny("price_too_high", "Set a price of 100 or less.");
}
