/*
 * Tests of sluice.h, built natively with sanitizers: see sdk/test.sh. What a guest does is tested by package hooktest.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sluice.h"

static int failures;

#define CHECK(what, ...)                                       \
	do {                                                       \
		if (!(what)) {                                         \
			failures++;                                        \
			printf("%s:%d: %s:", __FILE__, __LINE__, #what);   \
			printf(" " __VA_ARGS__);                           \
			printf("\n");                                      \
		}                                                      \
	} while (0)

/* Text in a block of exactly its size, so that a sanitizer sees each byte read past the end. */
static sluice_object object(const char *json) {
	uint32_t n = (uint32_t)strlen(json);
	char *copy = sluice_take(n);
	memcpy(copy, json, n);
	return sluice_parse(copy, n);
}

static void expect(sluice_text got, const char *want, int line) {
	if (!sluice_is(got, want)) {
		failures++;
		printf("%s:%d: got %.*s, want %s\n", __FILE__, line, (int)got.size, got.at ? got.at : "", want);
	}
}

#define EXPECT(got, want) expect(got, want, __LINE__)
#define TEXT(o) ((sluice_text){(o).json, (o).size})

static const char document[] =
	" { \"title\" : \"a \\\"quoted\\\" \\u00e9\\ud83d\\ude00\\ud800x\" , \"n\":-12.5e1,\"big\":12345678901234567890,\"i\":-42,\n"
	"\t\"yes\":true,\"no\":false,\"nil\":null,\"o\":{\"a\":{\"b\":[1,\"}\",{\"c\":\"]\"}]}},\"list\":[ 1 , \"two\" , [3] ,{\"four\":4}],"
	"\"\\u0065sc\":\"x\",\"empty\":{},\"none\":[],\"n\":\"second\"} ";

static void test_members_are_read(void) {
	sluice_object o = object(document);
	sluice_text t;
	double n;
	int64_t i;
	bool b;
	CHECK(sluice_string(o, "title", &t));
	EXPECT(t, "a \"quoted\" \xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbdx");
	CHECK(sluice_number(o, "n", &n) && n == -125, "the first of two members counts");
	CHECK(sluice_number(o, "big", &n) && n == 12345678901234567890.0);
	CHECK(!sluice_int(o, "big", &i), "it does not fit");
	CHECK(sluice_int(o, "i", &i) && i == -42);
	CHECK(!sluice_int(o, "n", &i));
	CHECK(sluice_bool(o, "yes", &b) && b && sluice_true(o, "yes"));
	CHECK(sluice_bool(o, "no", &b) && !b && !sluice_true(o, "no"));
	CHECK(sluice_is_null(sluice_get(o, "nil")) && !sluice_is_null(sluice_get(o, "missing")), "null is a value, missing is none");
	CHECK(sluice_string(o, "esc", &t) && sluice_is(t, "x"), "names may be escaped");
	CHECK(sluice_exists(sluice_child(o, "empty")) && !sluice_exists(sluice_child(o, "none")) && !sluice_exists(sluice_child(o, "title")));
	static const char *const items[] = {"1", "\"two\"", "[3]", "{\"four\":4}"};
	sluice_value item;
	uint32_t k = 0;
	for (sluice_cursor c = sluice_items(sluice_get(o, "list")); sluice_next(&c, &item);)
		EXPECT(TEXT(item), k < 4 ? items[k++] : "no more");
	CHECK(k == 4);
	for (sluice_cursor c = sluice_items(sluice_get(sluice_child(sluice_child(o, "o"), "a"), "b")); sluice_next(&c, &item);)
		if (sluice_exists(sluice_as_object(item)))
			CHECK(sluice_string(sluice_as_object(item), "c", &t) && sluice_is(t, "]"));
	static const char *const no_numbers[] = {"n2", "yes", "title", "nil", "o", "list"};
	for (k = 0; k < 6; k++)
		CHECK(!sluice_number(o, no_numbers[k], &n), "%s", no_numbers[k]);
	k = 0;
	sluice_text name;
	for (sluice_cursor c = sluice_members(o); sluice_next_member(&c, &name, &item); k++)
		if (k == 9)
			EXPECT(name, "esc");
	CHECK(k == 13, "%u members", k);
}

static void test_text_that_is_cut_off_is_read_to_its_end_only(void) {
	uint32_t n = sizeof document - 1;
	for (uint32_t cut = 0; cut <= n; cut++) {
		char *copy = sluice_take(cut);
		memcpy(copy, document, cut);
		sluice_object o = {copy, cut}; /* parse would refuse it */
		sluice_cursor c = sluice_members(o);
		sluice_text name;
		sluice_value v;
		for (uint32_t k = 0; sluice_next_member(&c, &name, &v); k++) {
			double d;
			int64_t i;
			CHECK(k < 13);
			sluice_as_string(v, &name);
			sluice_as_number(v, &d);
			sluice_as_int(v, &i);
		}
		sluice_edit e = sluice_edit_of(o);
		sluice_set_int(&e, "esc", 1);
		sluice_edited(&e);
	}
	static const char *const odd[] = {"{\"a\"", "{\"a\":\"\\", "{\"a\":\"\\u12", "{\"a\":-}", "{\"a\":1,}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\ud83d\\u\"}", "{\"\\\":1}"};
	for (uint32_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		sluice_object o = {odd[k], (uint32_t)strlen(odd[k])};
		sluice_text t;
		double d;
		sluice_string(o, "a", &t);
		CHECK(!sluice_number(o, "a", &d) || k == 4);
	}
}

static void test_edits_keep_what_they_do_not_touch(void) {
	sluice_object base = object("{ \"a\" : 1.50, \"b\":\"x\", \"c\":{\"d\": 1} }");
	sluice_edit e = sluice_edit_of(base);
	EXPECT(TEXT(sluice_edited(&e)), "{\"a\":1.50,\"b\":\"x\",\"c\":{\"d\": 1}}");
	sluice_set_string(&e, "b", sluice_of("q\"\\\n\xff"));
	EXPECT(TEXT(sluice_edited(&e)), "{\"a\":1.50,\"b\":\"q\\\"\\\\\\u000a\xef\xbf\xbd\",\"c\":{\"d\": 1}}");
	sluice_set_int(&e, "z", INT64_MIN);
	sluice_set_bool(&e, "y", true);
	sluice_set_int(&e, "a", 1);
	sluice_set_null(&e, "a");
	EXPECT(TEXT(sluice_edited(&e)), "{\"a\":null,\"b\":\"q\\\"\\\\\\u000a\xef\xbf\xbd\",\"c\":{\"d\": 1},\"z\":-9223372036854775808,\"y\":true}");
	e = sluice_edit_of(base);
	sluice_remove(&e, "a");
	sluice_remove(&e, "c");
	sluice_remove(&e, "x");
	EXPECT(TEXT(sluice_edited(&e)), "{\"b\":\"x\"}");
	sluice_set_number(&e, "a", 0.5);
	EXPECT(TEXT(sluice_edited(&e)), "{\"a\":0.5,\"b\":\"x\"}");
	e = (sluice_edit){0};
	EXPECT(TEXT(sluice_edited(&e)), "{}");
	sluice_set_object(&e, "o", sluice_child(base, "c"));
	sluice_set_object(&e, "m", (sluice_object){0});
	sluice_set_number(&e, "n", NAN);
	sluice_set_number(&e, "i", -INFINITY);
	EXPECT(TEXT(sluice_edited(&e)), "{\"o\":{\"d\": 1},\"m\":null,\"n\":null,\"i\":null}");
}

static void test_strings_that_are_not_utf8_are_mended(void) {
	static const struct { const char *bytes, *want; } tests[] = {
		{"\xe2\x82\xac", "\"\xe2\x82\xac\""},
		{"\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\""},
		{"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xe0\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\x1f\x7f", "\"\\u001f\x7f\""},
	};
	for (uint32_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		sluice_buffer b = {0};
		sluice_put_string(&b, tests[i].bytes, (uint32_t)strlen(tests[i].bytes));
		EXPECT(((sluice_text){b.at, b.size}), tests[i].want);
	}
}

static uint64_t next_random(void) {
	static uint64_t state = 88172645463325252u;
	state ^= state << 13, state ^= state >> 7, state ^= state << 17;
	return state;
}

/* The C library is the judge. */
static void check_number(const char *text) {
	double got = 0, want = strtod(text, NULL);
	bool ok = sluice_parse_number(text, (uint32_t)strlen(text), &got);
	CHECK(isinf(want) ? !ok : ok && !memcmp(&got, &want, 8), "%s: got %a (%d), want %a", text, got, ok, want);
}

static void check_written(double v) {
	sluice_buffer b = {0};
	sluice_put_number(&b, v);
	sluice_put_byte(&b, 0);
	double back = strtod(b.at, NULL);
	CHECK(!memcmp(&back, &v, 8) && b.size < 30, "%s is not %a", b.at, v);
}

static void test_numbers_are_the_nearest(void) {
	static const char *const numbers[] = {"0", "-0", "0.0", "1", "100.5", "0e999", "1e22", "1e23", "-1e-22", "123456789012345", "1234567890123456789012", "9007199254740993",
		"9007199254740992.9999999999999999999999999", "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "1e309", "1e999999999999", "1e-999999999999",
		"4.9406564584124654e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "2.2250738585072011e-308", "2.2250738585072014e-308", "0.1", "0.3", "1e-5",
		"0.000000000000000000000000000000000000000000000000000000000000000000000000001", "2.22507385850720113605740979670913197593481954635164564e-308"};
	for (uint32_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		check_number(numbers[i]);
	static const char *const none[] = {"", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "1x", "--1", "1.2.3", "0x10", "1e5.5", "Infinity", "nan", "true"};
	double d;
	for (uint32_t i = 0; i < sizeof none / sizeof *none; i++)
		CHECK(!sluice_parse_number(none[i], (uint32_t)strlen(none[i]), &d), "%s", none[i]);
	char text[1300];
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = next_random();
		double v;
		memcpy(&v, &bits, 8);
		if (!isfinite(v))
			continue;
		snprintf(text, sizeof text, "%.*e", i % 25, v);
		check_number(text);
		if (i < 5000)
			check_written(v);
		check_written((double)(int64_t)(next_random() % 2000000) / 100);
		sluice_reset();
	}
	for (int i = 0; i < 200; i++) { /* exactly halfway between two doubles, and next to it */
		uint64_t bits = (next_random() & INT64_MAX) % (UINT64_C(0x7fe) << 52);
		double v, up;
		memcpy(&v, &bits, 8);
		bits++;
		memcpy(&up, &bits, 8);
		if (!isfinite(up))
			continue;
		snprintf(text, sizeof text, "%.1100Lf", ((long double)v + up) / 2);
		if (strlen(text) < sizeof text - 1)
			check_number(text);
		snprintf(text, sizeof text, "%.800Le", ((long double)v + up) / 2);
		check_number(text);
		char *e = strchr(text, 'e');
		e[-1]++;
		check_number(text);
	}
	check_written(5e-324);
	check_written(1.7976931348623157e308);
	check_written(-0.0);
	check_written(1e21);
	static const struct { double v; const char *want; } written[] = {{0.1, "0.1"}, {-19.99, "-19.99"}, {1e-6, "0.000001"}, {1e-7, "1e-7"}, {123456.75, "123456.75"}, {1e300, "1e300"}, {1e20, "100000000000000000000"}, {0.3, "0.3"}};
	for (uint32_t i = 0; i < sizeof written / sizeof *written; i++) {
		sluice_buffer b = {0};
		sluice_put_number(&b, written[i].v);
		EXPECT(((sluice_text){b.at, b.size}), written[i].want);
	}
}

static void test_whole_numbers_fit_or_are_none(void) {
	static const struct { const char *text; bool ok; int64_t want; } tests[] = {{"9223372036854775807", true, INT64_MAX}, {"-9223372036854775808", true, INT64_MIN},
		{"9223372036854775808", false, 0}, {"-9223372036854775809", false, 0}, {"0", true, 0}, {"", false, 0}, {"-", false, 0}, {"1.0", false, 0}, {"99999999999999999999", false, 0}};
	for (uint32_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		int64_t got = 0;
		bool ok = sluice_parse_int(tests[i].text, (uint32_t)strlen(tests[i].text), &got);
		CHECK(ok == tests[i].ok && got == tests[i].want, "%s", tests[i].text);
	}
}

static bool is_two(const sluice_event *e, sluice_object o) {
	int64_t n;
	return sluice_logged_in(e) && sluice_int(o, "a", &n) && n == 2;
}

static void test_events_are_read(void) {
	static const char text[] = "{\"v\":1,\"event\":\"policy\",\"op\":\"read\",\"collection\":\"posts\",\"caller\":{\"role\":\"publishable\",\"userId\":\"u1\",\"claims\":{\"team\":\"x\"}},"
		"\"before\":null,\"after\":null,\"documents\":[{\"a\":1},{\"a\":2}],\"now\":1700000000000,\"requestId\":\"r-1\",\"later\":[{}]}";
	sluice_event e;
	sluice_text team;
	CHECK(sluice_parse_event(SLUICE_READ, text, sizeof text - 1, &e));
	CHECK(sluice_is(e.name, "policy") && e.op == SLUICE_READ && sluice_is(e.collection, "posts") && sluice_is(e.caller.role, "publishable") && sluice_is(e.caller.user_id, "u1"));
	CHECK(e.now == 1700000000000 && sluice_is(e.request_id, "r-1") && !sluice_exists(e.before) && !sluice_exists(e.after));
	CHECK(sluice_string(e.caller.claims, "team", &team) && sluice_is(team, "x"));
	sluice_decision d = sluice_allow_each(&e, is_two);
	CHECK(d.yes);
	EXPECT(d.value, "{\"allow\":[false,true]}");
	CHECK(sluice_parse_event(SLUICE_READ, "{\"caller\":{\"userId\":null}}", 26, &e) && !sluice_logged_in(&e));
	CHECK(!sluice_parse_event(SLUICE_READ, "[]", 2, &e), "an array is no event");
}

static void test_decisions_are_written(void) {
	char message[601];
	EXPECT(sluice_deny("a.b", "say \"no\"").value, "{\"code\":\"a.b\",\"message\":\"say \\\"no\\\"\"}");
	EXPECT(sluice_deny_status("a", "", 409).value, "{\"code\":\"a\",\"message\":\"\",\"status\":409}");
	CHECK(!sluice_deny("a", "").yes && sluice_allow().yes && !sluice_allow().value.at);
	for (int i = 0; i < 600; i += 2)
		memcpy(message + i, "\xc3\xa9", 2);
	message[600] = 0;
	CHECK(sluice_deny("a", message + 1).value.size == 25 + 499 + 2, "cut between characters"); /* the first byte is mended, to three */
	CHECK(sluice_deny("a", message).value.size == 25 + 500);
}

static const char *stored(const char *function, sluice_text collection, sluice_text question) {
	static char large[9000];
	if (!strcmp(function, "config"))
		return "{\"site\":\"demo\"}";
	if (!strcmp(function, "count"))
		return sluice_is(collection, "members") && sluice_is(question, "{\"where\":{\"team\":\"t\"}}") ? "12" : NULL;
	if (!strcmp(function, "find"))
		return sluice_is(question, "{\"any\":[{\"a\":1},\"x\",[]]}") ? "[{\"a\":1},{\"a\":2}]" : NULL;
	if (!sluice_is(question, "large"))
		return NULL;
	memset(large, ' ', sizeof large - 1);
	memcpy(large, "{\"a\":", 5);
	large[sizeof large - 3] = '1', large[sizeof large - 2] = '}';
	return large;
}

static void test_documents_are_read(void) {
	sluice_edit where = {0}, query = {0}, any = {0};
	sluice_list list = {0}, empty = {0};
	sluice_text site;
	int64_t a = 0;
	CHECK(sluice_count("members", sluice_edited(&query)) == 0 && !sluice_exists(sluice_read("posts", sluice_of("p"))));
	sluice_stub = stored;
	CHECK(sluice_string(sluice_config(), "site", &site) && sluice_is(site, "demo"));
	sluice_set_string(&where, "team", sluice_of("t"));
	sluice_set_object(&query, "where", sluice_edited(&where));
	CHECK(sluice_count("members", sluice_edited(&query)) == 12);
	CHECK(sluice_exists(sluice_read("posts", sluice_of("large"))) && sluice_int(sluice_read("posts", sluice_of("large")), "a", &a) && a == 1, "asked again with more room");
	CHECK(!sluice_exists(sluice_read("posts", sluice_of("p"))));
	sluice_set_int(&any, "a", 1);
	sluice_add_object(&list, sluice_edited(&any));
	sluice_add_string(&list, sluice_of("x"));
	sluice_edit e = {0};
	sluice_set_list(&e, "a", &empty);
	EXPECT(TEXT(sluice_edited(&e)), "{\"a\":[]}");
	sluice_add_json(&list, sluice_of("[]"));
	sluice_edit any_of = {0};
	sluice_set_list(&any_of, "any", &list);
	sluice_value found = sluice_find("posts", sluice_edited(&any_of)), item;
	for (sluice_cursor c = sluice_items(found); sluice_next(&c, &item);)
		a++;
	CHECK(a == 3);
	sluice_stub = NULL;
}

int main(void) {
	test_documents_are_read();
	test_members_are_read();
	test_text_that_is_cut_off_is_read_to_its_end_only();
	test_edits_keep_what_they_do_not_touch();
	test_strings_that_are_not_utf8_are_mended();
	test_numbers_are_the_nearest();
	test_whole_numbers_fit_or_are_none();
	test_events_are_read();
	test_decisions_are_written();
	sluice_reset();
	return failures > 0;
}
