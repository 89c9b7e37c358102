package runtime_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestAggregate: a pipeline over what a list would show its caller.
func TestAggregate(t *testing.T) {
	n := startShop(t)
	alice, aliceID := n.user("alice@example.com")
	bob, _ := n.user("bob@example.com")
	for i := range 5 {
		n.send("POST", "/api/data/closed", fmt.Sprintf(`{"text":"alice's","n":%d.1}`, i), n.as(n.pk, alice)...).want(t, 201)
		n.send("POST", "/api/data/closed", `{"text":"canary","n":100}`, n.as(n.pk, bob)...).want(t, 201)
	}
	ask := func(collection, pipeline string, headers []string) *answer {
		return n.send("POST", "/api/data/"+collection+"/aggregate", `{"pipeline":`+pipeline+`}`, headers...)
	}
	const message = `,"message":"Aggregation executed successfully."}`
	for _, c := range [][2]string{
		{`[{"$match":{"tags":"red"}},{"$group":{"_id":null,"n":{"$sum":"$n"},"names":{"$push":"$name"}}}]`, `[{"_id":null,"n":-2,"names":["Apple","Cherry"]}]`},
		{`[{"$match":{"_id":"` + strings.ToUpper(thingB) + `"}},{"$project":{"name":1}}]`, `[{"_id":"` + thingB + `","name":"banana"}]`},
		{`[{"$match":{"at":{"$gte":"2026-01-15"}}},{"$project":{"_id":0,"m":{"$month":"$at"}}}]`, `[{"m":2}]`},
		{`[{"$match":{"n":"1"}}]`, `[]`},
		{`[{"$sort":{"n":-1}},{"$limit":1},{"$project":{"_id":0,"name":1}}]`, `[{"name":"banana"}]`},
		{`[{"$unwind":"$tags"},{"$sortByCount":"$tags"},{"$limit":1}]`, `[{"_id":"red","count":2}]`},
		{`[{"$count":"things"}]`, `[{"things":4}]`},
		{`[{"$limit":2},{"$project":{"name":1,"_id":0}}]`, `[{"name":"Apple"},{"name":"banana"}]`},
	} {
		if a := ask("things", c[0], n.as(n.pk, "")).want(t, 200); a.body != `{"success":true,"data":`+c[1]+message {
			t.Errorf("%s answers %s", c[0], a.body)
		}
	}

	// Nobody counts what he may not see.
	mine := `[{"$group":{"_id":"$userId","n":{"$sum":"$n"},"c":{"$count":{}}}}]`
	if a := ask("closed", mine, n.as(n.pk, alice)).want(t, 200); a.body != `{"success":true,"data":[{"_id":"`+aliceID+`","n":10.5,"c":5}]`+message {
		t.Errorf("alice's: %s", a.body)
	}
	for _, pipeline := range []string{`[{"$match":{}}]`, `[{"$match":{"$or":[{"text":"canary"},{"userId":{"$ne":"` + aliceID + `"}}]}}]`, `[{"$match":{"text":"canary"}},{"$count":"n"}]`, `[{"$addFields":{"userId":"x"}},{"$match":{"text":"canary"}}]`} {
		if a := ask("closed", pipeline, n.as(n.pk, alice)).want(t, 200); strings.Contains(a.body, "canary") || strings.Contains(a.body, `"n":1}`) {
			t.Errorf("%s shows another's documents: %s", pipeline, a.body)
		}
	}
	if a := ask("closed", mine, n.as(n.sk, "")).want(t, 200); !strings.Contains(a.body, `"n":500`) {
		t.Errorf("a secret key's: %s", a.body)
	}

	for _, c := range []struct {
		name, path, body string
		headers          []string
		status           int
		text, reason     string
	}{
		{"no key", "things", `{"pipeline":[{"$count":"n"}]}`, nil, 401, "API key not found", "key.missing"},
		{"nobody, where documents are private", "closed", `{"pipeline":[{"$count":"n"}]}`, n.as(n.pk, ""), 401, "Provide a valid user Bearer token for private reads.", "token.required_for_read"},
		{"a bad token", "things", `{"pipeline":[{"$count":"n"}]}`, n.as(n.pk, "garbage"), 401, "Invalid or Expired Token", "token.invalid"},
		{"users", "users", `{"pipeline":[{"$count":"n"}]}`, n.as(n.sk, ""), 403, "Use /api/userAuth endpoints for users collection operations.", "collection.users_reserved"},
		{"a collection of the system", "_sessions", `{"pipeline":[{"$count":"n"}]}`, n.as(n.sk, ""), 404, "Collection not found", "collection.not_found"},
		{"no body", "things", ``, n.as(n.pk, ""), 400, "Invalid input: expected object, received undefined", "aggregate.malformed"},
		{"a list for a body", "things", `[]`, n.as(n.pk, ""), 400, "Invalid input: expected object, received array", "aggregate.malformed"},
		{"no pipeline", "things", `{}`, n.as(n.pk, ""), 400, "Invalid input: expected array, received undefined", "aggregate.malformed"},
		{"an empty pipeline", "things", `{"pipeline":[]}`, n.as(n.pk, ""), 400, "Pipeline must contain at least one stage.", "aggregate.malformed"},
		{"an empty stage", "things", `{"pipeline":[{}]}`, n.as(n.pk, ""), 400, "Each aggregation stage must be a non-empty object.", "aggregate.malformed"},
		{"a stage that is text", "things", `{"pipeline":["$count"]}`, n.as(n.pk, ""), 400, "Invalid input: expected record, received string", "aggregate.malformed"},
		{"a blocked stage", "things", `{"pipeline":[{"$match":{}},{"$lookup":{"from":"users","as":"u"}}]}`, n.as(n.sk, ""), 400, "Aggregation pipeline contains blocked stage.", "aggregate.blocked"},
		{"a blocked stage in depth", "things", `{"pipeline":[{"$facet":{"a":[{"$unionWith":"closed"}]}}]}`, n.as(n.pk, ""), 400, "Aggregation pipeline contains blocked stage.", "aggregate.blocked"},
		{"an unknown stage", "things", `{"pipeline":[{"$sample":{"size":1}}]}`, n.as(n.pk, ""), 400, "", "aggregate.invalid"},
		{"a sum of text", "things", `{"pipeline":[{"$project":{"x":{"$add":["$name",1]}}}]}`, n.as(n.pk, ""), 400, "$add needs numbers.", "aggregate.invalid"},
		{"too many stages", "things", `{"pipeline":[` + strings.Repeat(`{"$skip":0},`, 32) + `{"$skip":0}]}`, n.as(n.pk, ""), 400, "", "aggregate.too_large"},
	} {
		a := n.send("POST", "/api/data/"+c.path+"/aggregate", c.body, c.headers...)
		checkEnvelope(t, a)
		if a.status != c.status || a.field("reason") != c.reason || c.text != "" && a.field("error") != c.text {
			t.Errorf("%s: %d %s, want %d %q (%s)", c.name, a.status, a.body, c.status, c.text, c.reason)
		}
	}
}
