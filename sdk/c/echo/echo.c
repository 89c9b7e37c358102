/*
 * A guest for tests of sluice.h: its hook gives a document back, made anew from all that the scanner reads in it. If the two
 * differ, the scanner or the writer is wrong. Package hooktest asks it about documents of all kinds, broken ones too.
 */
#include "../sluice.h"

static void put(sluice_buffer *b, sluice_value v) {
	sluice_text text;
	double number;
	int64_t whole;
	bool truth;
	if (sluice_as_string(v, &text)) {
		sluice_put_string(b, text.at, text.size);
	} else if (sluice_as_number(v, &number)) {
		if (sluice_as_int(v, &whole) && (double)whole != number)
			sluice_fail("a whole number is not itself");
		sluice_put_number(b, number);
	} else if (sluice_as_bool(v, &truth)) {
		sluice_put(b, truth ? "true" : "false", truth ? 4 : 5);
	} else if (sluice_is_null(v)) {
		sluice_put(b, "null", 4);
	} else if (sluice_exists(sluice_as_object(v))) {
		sluice_edit same = sluice_edit_of(sluice_as_object(v));
		sluice_object o = sluice_edited(&same);
		sluice_put(b, o.json, o.size);
	} else if (v.size && v.json[0] == '[') {
		sluice_value item;
		sluice_put_byte(b, '[');
		for (sluice_cursor c = sluice_items(v); sluice_next(&c, &item);) {
			if (b->at[b->size - 1] != '[')
				sluice_put_byte(b, ',');
			sluice_put(b, item.json, item.size);
		}
		sluice_put_byte(b, ']');
	} else {
		sluice_put(b, v.json, v.size); /* a number that is too large, or no JSON */
	}
}

static sluice_decision hook(const sluice_event *e) {
	sluice_buffer b = {0};
	sluice_text name;
	sluice_value value;
	sluice_put_byte(&b, '{');
	for (sluice_cursor c = sluice_members(e->after); sluice_next_member(&c, &name, &value);) {
		if (b.size > 1)
			sluice_put_byte(&b, ',');
		sluice_put_string(&b, name.at, name.size);
		sluice_put_byte(&b, ':');
		put(&b, value);
	}
	sluice_put_byte(&b, '}');
	return sluice_replace((sluice_object){b.at, b.size});
}

SLUICE_HOOK(hook)
