/*
 * A guest that shows each thing that a policy and a hook can do. It is also the conformance guest of this SDK: package
 * hooktest runs it over vectors that every SDK's example must pass.
 */
#include "../sluice.h"

static bool owns(const sluice_event *e, sluice_object document) {
	sluice_text owner;
	return sluice_logged_in(e) && sluice_string(document, "userId", &owner) && sluice_equal(owner, e->caller.user_id);
}

static bool may_read(const sluice_event *e, sluice_object document) {
	return sluice_true(document, "public") || owns(e, document);
}

static bool member_of(sluice_text team, const sluice_event *e) {
	sluice_edit where = {0}, query = {0};
	sluice_set_string(&where, "teamId", team);
	sluice_set_string(&where, "userId", e->caller.user_id);
	sluice_set_object(&query, "where", sluice_edited(&where));
	return sluice_logged_in(e) && sluice_count("members", sluice_edited(&query)) > 0;
}

static bool has_comments(sluice_text id) {
	sluice_edit where = {0}, query = {0};
	sluice_value comment;
	sluice_set_string(&where, "postId", id);
	sluice_set_object(&query, "where", sluice_edited(&where));
	sluice_set_int(&query, "limit", 1);
	sluice_cursor found = sluice_items(sluice_find("comments", sluice_edited(&query)));
	return sluice_next(&found, &comment);
}

/* filter: lists show what is public, and users what is theirs. */
static sluice_decision filter(const sluice_event *e) {
	sluice_edit public = {0}, own = {0}, query = {0};
	sluice_list any = {0};
	sluice_set_bool(&public, "public", true);
	if (!sluice_logged_in(e)) {
		sluice_set_object(&query, "where", sluice_edited(&public));
		return sluice_restrict(sluice_edited(&query));
	}
	sluice_set_string(&own, "userId", e->caller.user_id);
	sluice_add_object(&any, sluice_edited(&public));
	sluice_add_object(&any, sluice_edited(&own));
	sluice_set_list(&query, "any", &any);
	return sluice_restrict(sluice_edited(&query));
}

/* policy: members write for their teams, anybody reads what is public, owners read and delete what is theirs, nobody asks
   for more than 100. */
static sluice_decision policy(const sluice_event *e) {
	double price;
	sluice_text text;
	switch (e->op) {
	case SLUICE_INSERT:
	case SLUICE_UPDATE:
		if (sluice_number(e->after, "price", &price) && price > 100)
			return sluice_deny("example.price_too_high", "Set a price of 100 or less.");
		if (sluice_string(e->after, "teamId", &text) && !member_of(text, e))
			return sluice_deny("example.not_a_member", "Join the team first.");
		return sluice_allow();
	case SLUICE_DELETE:
		if (!owns(e, e->before))
			return sluice_deny_status("example.not_yours", "Only its owner can delete this.", 404);
		if (sluice_string(e->before, "_id", &text) && has_comments(text))
			return sluice_deny_status("example.has_comments", "Delete its comments first.", 409);
		return sluice_allow();
	case SLUICE_READ:
		return sluice_allow_each(e, may_read);
	case SLUICE_FILTER:
		return filter(e);
	default:
		return (sluice_decision){0}; /* an operation that this policy does not know: no */
	}
}

/* slug keeps letters and digits of ASCII, in lower case, and puts one dash in place of anything else between them. */
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

static sluice_text site; /* what the manifest's config says, read once */

static void init(void) { sluice_string(sluice_config(), "site", &site); }

/* claims: a token says what role a user has, and where. */
static sluice_decision claims(const sluice_event *e) {
	sluice_edit token = {0};
	sluice_text role;
	if (sluice_true(e->before, "blocked"))
		return sluice_deny("example.blocked", "This account is blocked.");
	if (sluice_string(e->before, "role", &role))
		sluice_set_string(&token, "role", role);
	if (site.size)
		sluice_set_string(&token, "site", site);
	return sluice_grant(sluice_edited(&token));
}

/* hook: new documents get a slug and the time, locked ones stay as they are, new accounts get a plan. */
static sluice_decision hook(const sluice_event *e) {
	sluice_edit edit = sluice_edit_of(e->after);
	sluice_text text;
	double size;
	switch (e->op) {
	case SLUICE_INSERT:
		if (!sluice_string(e->after, "title", &text))
			return sluice_deny("example.title_missing", "Give the document a title.");
		sluice_set_string(&edit, "slug", slug(text));
		sluice_set_int(&edit, "seenAt", e->now);
		sluice_remove(&edit, "draft");
		return sluice_replace(sluice_edited(&edit));
	case SLUICE_UPDATE:
	case SLUICE_DELETE:
		if (sluice_true(e->before, "locked")) {
			sluice_log(SLUICE_INFO, "refused to touch a locked document");
			return sluice_deny_status("example.locked", "Unlock the document first.", 409);
		}
		if (sluice_string(e->after, "copyOf", &text) && !sluice_exists(sluice_read("posts", text)))
			return sluice_deny("example.no_original", "Copy something that exists.");
		return sluice_allow();
	case SLUICE_SIGNUP:
		if (!sluice_string(e->after, "email", &text))
			return sluice_deny("example.no_email", "Give an email address.");
		sluice_set_string(&edit, "plan", sluice_of("free"));
		return sluice_replace(sluice_edited(&edit));
	case SLUICE_CLAIMS:
		return claims(e);
	case SLUICE_UPLOAD:
		if (sluice_number(e->after, "size", &size) && size > 1000000)
			return sluice_deny_status("example.file_too_large", "Make the file smaller.", 413);
		return sluice_allow();
	default:
		return (sluice_decision){0};
	}
}

SLUICE_INIT(init)
SLUICE_POLICY(policy)
SLUICE_HOOK(hook)
