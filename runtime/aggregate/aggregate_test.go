package aggregate

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// tester is a test, or one case of a property.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// parse parses a pipeline's text.
func parse(t tester, pipeline string) (*Pipeline, error) {
	t.Helper()
	var p jsondoc.Parser
	body, err := p.Parse([]byte(`{"pipeline":`+pipeline+`}`), jsondoc.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", pipeline, err)
	}
	return Parse(body)
}

// through sends documents through a pipeline as a store would: only those that Where lets through.
func through(t tester, pipeline string, docs []string, lim Limits) (string, error) {
	t.Helper()
	p, err := parse(t, pipeline)
	if err != nil {
		return "", err
	}
	out, err := p.Append(context.Background(), nil, p.stored(docs), lim)
	return string(out), err
}

// stored are the documents that a store would find.
func (p *Pipeline) stored(docs []string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, doc := range docs {
			if raw := []byte(doc); !slices.ContainsFunc(p.where, func(c condition) bool { return !c.holds(raw) }) && !yield(raw) {
				return
			}
		}
	}
}

var orders = []string{
	`{"_id":"1","item":"pen","price":0.1,"n":2,"tags":["a","b"],"at":"2026-01-31T10:00:00.000Z","by":{"name":"Ada","city":"London"}}`,
	`{"_id":"2","item":"ink","price":0.2,"n":1,"tags":["b"],"at":"2026-02-01T11:30:00.000Z","by":{"name":"Bob"}}`,
	`{"_id":"3","item":"pen","price":12.50,"n":3,"tags":[],"at":"2026-02-02T00:00:00.000Z","rows":[{"q":1},{"q":2,"r":true},5]}`,
	`{"_id":"4","item":null,"price":9007199254740993,"n":-1}`,
}

// TestStages: what each stage and each operator makes of four orders.
func TestStages(t *testing.T) {
	for _, c := range []struct{ name, pipeline, want string }{
		{"equality", `[{"$match":{"item":"pen"}},{"$project":{"_id":1}}]`, `[{"_id":"1"},{"_id":"3"}]`},
		{"an element", `[{"$match":{"tags":"b"}},{"$project":{"_id":1}}]`, `[{"_id":"1"},{"_id":"2"}]`},
		{"null is also missing", `[{"$match":{"tags":null}},{"$project":{"_id":1}}]`, `[{"_id":"4"}]`},
		{"not null", `[{"$match":{"item":{"$ne":null}}},{"$project":{"_id":1}}]`, `[{"_id":"1"},{"_id":"2"},{"_id":"3"}]`},
		{"range", `[{"$match":{"n":{"$gt":1,"$lte":3}}},{"$project":{"_id":1}}]`, `[{"_id":"1"},{"_id":"3"}]`},
		{"in and nin", `[{"$match":{"n":{"$in":[1,2,3],"$nin":[2]}}},{"$project":{"_id":1}}]`, `[{"_id":"2"},{"_id":"3"}]`},
		{"none of nothing", `[{"$match":{"n":{"$in":[]}}}]`, `[]`},
		{"exists", `[{"$match":{"by.city":{"$exists":false},"item":{"$exists":true}}},{"$project":{"_id":1}}]`, `[{"_id":"2"},{"_id":"3"},{"_id":"4"}]`},
		{"regex minds the case", `[{"$match":{"item":{"$regex":"^P"}}}]`, `[]`},
		{"regex with options", `[{"$match":{"item":{"$regex":"^P","$options":"i"}}},{"$count":"n"}]`, `[{"n":2}]`},
		{"or", `[{"$match":{"$or":[{"n":1},{"item":"pen","n":3}]}},{"$project":{"_id":1}}]`, `[{"_id":"2"},{"_id":"3"}]`},
		{"and within or within nor", `[{"$match":{"$nor":[{"$or":[{"n":1},{"$and":[{"n":2},{"item":"pen"}]}]}]}},{"$project":{"_id":1}}]`, `[{"_id":"3"},{"_id":"4"}]`},
		{"not", `[{"$match":{"n":{"$not":{"$gte":2}}}},{"$project":{"_id":1}}]`, `[{"_id":"2"},{"_id":"4"}]`},
		{"a whole object", `[{"$match":{"by":{"name":"Bob"}}},{"$count":"n"}]`, `[{"n":1}]`},
		{"types keep apart", `[{"$match":{"price":{"$gt":"0"}}}]`, `[]`},
		{"a second match sees what the first stage made", `[{"$addFields":{"n":9}},{"$match":{"n":9}},{"$count":"n"}]`, `[{"n":4}]`},
		{"count of nothing", `[{"$match":{"n":99}},{"$count":"n"}]`, `[]`},

		{"include", `[{"$limit":1},{"$project":{"item":1,"by.name":true}}]`, `[{"_id":"1","item":"pen","by":{"name":"Ada"}}]`},
		{"include without the id", `[{"$limit":1},{"$project":{"item":1,"_id":0}}]`, `[{"item":"pen"}]`},
		{"exclude", `[{"$limit":1},{"$project":{"tags":0,"by":{"city":0},"at":0,"price":0}}]`, `[{"_id":"1","item":"pen","n":2,"by":{"name":"Ada"}}]`},
		{"exclude the id alone", `[{"$skip":3},{"$project":{"_id":0}}]`, `[{"item":null,"price":9007199254740993,"n":-1}]`},
		{"include within arrays", `[{"$match":{"_id":"3"}},{"$project":{"rows.q":1,"_id":0}}]`, `[{"rows":[{"q":1},{"q":2}]}]`},
		{"exclude within arrays", `[{"$match":{"_id":"3"}},{"$project":{"rows.q":0}},{"$project":{"rows":1,"_id":0}}]`, `[{"rows":[{},{"r":true},5]}]`},
		{"include below a plain value", `[{"$limit":1},{"$project":{"item.x":1}}]`, `[{"_id":"1"}]`},
		{"rename and compute", `[{"$limit":2},{"$project":{"_id":0,"what":"$item","cost":{"$multiply":["$price","$n"]}}}]`, `[{"what":"pen","cost":0.2},{"what":"ink","cost":0.2}]`},
		{"a path through an array", `[{"$match":{"_id":"3"}},{"$project":{"_id":0,"q":"$rows.q"}}]`, `[{"q":[1,2]}]`},
		{"nothing is left out", `[{"$limit":1},{"$project":{"_id":0,"x":"$nothing","y":{"$ifNull":["$nothing","-"]}}}]`, `[{"y":"-"}]`},
		{"objects and arrays of expressions", `[{"$limit":1},{"$project":{"_id":0,"x":{"$literal":{"a":"$item"}},"y":["$item","$nothing"],"z":{"$ifNull":[null,{"a":"$n","b":"$nothing"}]}}}]`, `[{"x":{"a":"$item"},"y":["pen",null],"z":{"a":2}}]`},
		{"unset", `[{"$skip":3},{"$unset":["price","nothing","item"]}]`, `[{"_id":"4","n":-1}]`},
		{"unset one", `[{"$skip":3},{"$unset":"price"}]`, `[{"_id":"4","item":null,"n":-1}]`},
		{"add", `[{"$skip":3},{"$addFields":{"a.b":1,"n":{"$add":["$n",1]}}}]`, `[{"_id":"4","item":null,"price":9007199254740993,"n":0,"a":{"b":1}}]`},
		{"add within what is there", `[{"$match":{"_id":"2"}},{"$set":{"by.city":"Paris"}},{"$project":{"by":1,"_id":0}}]`, `[{"by":{"name":"Bob","city":"Paris"}}]`},
		{"the whole document", `[{"$skip":3},{"$unset":"price"},{"$group":{"_id":null,"all":{"$push":"$$ROOT"},"n":{"$sum":"$$ROOT.n"}}}]`, `[{"_id":null,"all":[{"_id":"4","item":null,"n":-1}],"n":-1}]`},

		{"sums are exact", `[{"$match":{"price":{"$lt":1}}},{"$group":{"_id":null,"sum":{"$sum":"$price"},"avg":{"$avg":"$price"}}}]`, `[{"_id":null,"sum":0.3,"avg":0.15}]`},
		{"beyond 2^53", `[{"$match":{"_id":"4"}},{"$project":{"_id":0,"x":{"$add":["$price",1]},"y":{"$multiply":["$price","$price"]}}}]`, `[{"x":9007199254740994,"y":81129638414606699710187514626049}]`},
		{"groups in the order in which they came", `[{"$group":{"_id":"$item","n":{"$sum":1},"c":{"$count":{}},"least":{"$min":"$price"},"most":{"$max":"$n"},"first":{"$first":"$_id"},"last":{"$last":"$_id"}}}]`,
			`[{"_id":"pen","n":2,"c":2,"least":0.1,"most":3,"first":"1","last":"3"},{"_id":"ink","n":1,"c":1,"least":0.2,"most":1,"first":"2","last":"2"},{"_id":null,"n":1,"c":1,"least":9007199254740993,"most":-1,"first":"4","last":"4"}]`},
		{"a key of several", `[{"$match":{"n":{"$gte":2}}},{"$group":{"_id":{"i":"$item","big":{"$gt":["$n",2]}},"n":{"$sum":"$n"}}}]`, `[{"_id":{"i":"pen","big":false},"n":2},{"_id":{"i":"pen","big":true},"n":3}]`},
		{"push and addToSet", `[{"$match":{"item":"pen"}},{"$unwind":{"path":"$tags","preserveNullAndEmptyArrays":true}},{"$group":{"_id":null,"all":{"$push":"$item"},"some":{"$addToSet":"$item"},"none":{"$push":"$nothing"},"tags":{"$push":"$tags"}}}]`, `[{"_id":null,"all":["pen","pen","pen"],"some":["pen"],"none":[],"tags":["a","b"]}]`},
		{"averages and extremes of nothing", `[{"$group":{"_id":null,"a":{"$avg":"$item"},"s":{"$sum":"$item"},"m":{"$min":"$nothing"},"f":{"$first":"$nothing"}}}]`, `[{"_id":null,"a":null,"s":0,"m":null,"f":null}]`},
		{"1 and 1.0 are one key", `[{"$project":{"k":{"$cond":[{"$gt":["$n",1]},1,1.0]}}},{"$group":{"_id":"$k","n":{"$sum":1}}}]`, `[{"_id":1,"n":4}]`},
		{"sortByCount", `[{"$unwind":"$tags"},{"$sortByCount":"$tags"}]`, `[{"_id":"b","count":2},{"_id":"a","count":1}]`},
		{"sort and limit", `[{"$sort":{"item":-1,"n":1}},{"$skip":1},{"$limit":2},{"$project":{"_id":1}}]`, `[{"_id":"3"},{"_id":"2"}]`},
		{"missing first", `[{"$sort":{"by.name":1}},{"$limit":3},{"$project":{"_id":1}}]`, `[{"_id":"3"},{"_id":"4"},{"_id":"1"}]`},

		{"unwind", `[{"$limit":1},{"$unwind":"$tags"},{"$project":{"tags":1}}]`, `[{"_id":"1","tags":"a"},{"_id":"1","tags":"b"}]`},
		{"unwind leaves out what has none", `[{"$unwind":"$tags"},{"$count":"n"}]`, `[{"n":3}]`},
		{"unwind with positions", `[{"$skip":1},{"$limit":3},{"$unwind":{"path":"$tags","includeArrayIndex":"i","preserveNullAndEmptyArrays":true}},{"$project":{"tags":1,"i":1}}]`, `[{"_id":"2","tags":"b","i":0},{"_id":"3","i":null},{"_id":"4","i":null}]`},
		{"unwind what is no array", `[{"$limit":1},{"$unwind":"$by.name"},{"$project":{"by":1}}]`, `[{"_id":"1","by":{"name":"Ada","city":"London"}}]`},

		{"arithmetic", `[{"$limit":1},{"$project":{"_id":0,"a":{"$subtract":[5,0.5]},"b":{"$divide":[7,2]},"c":{"$divide":[6,2]},"d":{"$mod":[-7,3]},"e":{"$abs":-2.5},"f":{"$add":[1,null]},"g":{"$divide":[1,3]}}}]`, `[{"a":4.5,"b":3.5,"c":3,"d":-1,"e":2.5,"f":null,"g":0.3333333333333333}]`},
		{"rounding", `[{"$limit":1},{"$project":{"_id":0,"a":{"$round":2.5},"b":{"$round":[2.345,2]},"c":{"$floor":-1.5},"d":{"$ceil":-1.5},"e":{"$trunc":[-1.55,1]},"f":{"$round":3.5}}}]`, `[{"a":2,"b":2.34,"c":-2,"d":-1,"e":-1.5,"f":4}]`},
		{"text", `[{"$limit":1},{"$project":{"_id":0,"a":{"$concat":["$item","-","é"]},"b":{"$toUpper":"$item"},"c":{"$substrCP":["né!",1,1]},"d":{"$strLenCP":"né"},"e":{"$toLower":"ÀB"},"f":{"$concat":["x","$nothing"]}}}]`, `[{"a":"pen-é","b":"PEN","c":"é","d":2,"e":"àb","f":null}]`},
		{"by day", `[{"$match":{"at":{"$gte":"2026-01"}}},{"$group":{"_id":{"$substrCP":["$at",0,7]},"n":{"$sum":1}}}]`, `[{"_id":"2026-01","n":1},{"_id":"2026-02","n":2}]`},
		{"parts of a time", `[{"$skip":1},{"$limit":1},{"$project":{"_id":0,"y":{"$year":"$at"},"m":{"$month":"$at"},"d":{"$dayOfMonth":"$at"},"w":{"$dayOfWeek":"$at"},"h":{"$hour":"$at"},"i":{"$minute":"$at"},"s":{"$second":"$at"},"no":{"$year":"$nothing"}}}]`, `[{"y":2026,"m":2,"d":1,"w":1,"h":11,"i":30,"s":0,"no":null}]`},
		{"comparing", `[{"$limit":1},{"$project":{"_id":0,"a":{"$eq":["$n",2.0]},"b":{"$lt":["$n","x"]},"c":{"$cmp":[2,1]},"d":{"$in":["a","$tags"]},"e":{"$not":["$n"]},"f":{"$and":[1,"x"]},"g":{"$or":[0,null]},"h":{"$ne":[1,1]},"i":{"$gte":[1,1]},"j":{"$lte":[2,1]}}}]`, `[{"a":true,"b":true,"c":1,"d":true,"e":false,"f":true,"g":false,"h":false,"i":true,"j":false}]`},
		{"choosing", `[{"$project":{"k":{"$cond":{"if":{"$gte":["$n",2]},"then":"many","else":"few"}}}},{"$sortByCount":"$k"}]`, `[{"_id":"many","count":2},{"_id":"few","count":2}]`},
		{"arrays", `[{"$limit":1},{"$project":{"_id":0,"n":{"$size":"$tags"},"last":{"$arrayElemAt":["$tags",-1]},"none":{"$arrayElemAt":["$tags",7]}}}]`, `[{"n":2,"last":"b"}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := through(t, c.pipeline, orders, Limits{})
			if err != nil || got != c.want {
				t.Errorf("%s\n got %s, %v\nwant %s", c.pipeline, got, err, c.want)
			}
		})
	}
}

// TestRefusals: a pipeline that means nothing here, or would do what nobody may, is refused with a sentence.
func TestRefusals(t *testing.T) {
	deep := strings.Repeat(`{"$not":`, 20) + "1" + strings.Repeat("}", 20)
	for _, c := range []struct {
		name, pipeline string
		fault          Fault
		text           string // a part of it
	}{
		{"no list", `{}`, Malformed, "Invalid input: expected array, received object"},
		{"null", `null`, Malformed, "Invalid input: expected array, received null"},
		{"empty", `[]`, Malformed, "Pipeline must contain at least one stage."},
		{"a number for a stage", `[5]`, Malformed, "Invalid input: expected record, received number"},
		{"a list for a stage", `[[]]`, Malformed, "Invalid input: expected record, received array"},
		{"true for a stage", `[true]`, Malformed, "Invalid input: expected record, received boolean"},
		{"an empty stage", `[{"$match":{}},{}]`, Malformed, "Each aggregation stage must be a non-empty object."},
		{"$out", `[{"$out":"x"}]`, Blocked, "Aggregation pipeline contains blocked stage."},
		{"$merge", `[{"$match":{}},{"$merge":{"into":"x"}}]`, Blocked, ""},
		{"$lookup", `[{"$lookup":{"from":"users"}}]`, Blocked, ""},
		{"$lookup below another stage", `[{"$facet":{"a":[{"$lookup":{"from":"users"}}]}}]`, Blocked, ""},
		{"$unionWith", `[{"$unionWith":"users"}]`, Blocked, ""},
		{"$graphLookup", `[{"$graphLookup":{}}]`, Blocked, ""},
		{"$where in a match", `[{"$match":{"$where":"1"}}]`, Blocked, ""},
		{"$where deep in a match", `[{"$match":{"$or":[{"a":{"$not":{"$where":"1"}}}]}}]`, Blocked, ""},
		{"$function in an expression", `[{"$project":{"x":{"$cond":[1,{"$function":{"body":""}},2]}}}]`, Blocked, ""},
		{"two stages in one", `[{"$match":{},"$limit":1}]`, Invalid, "Make it several stages."},
		{"an unknown stage", `[{"$facet":{}}]`, Invalid, "Stage 0 ($facet): There is no such stage. Use $match"},
		{"a stage without a dollar", `[{"match":{}}]`, Invalid, ""},
		{"an unknown operator in a match", `[{"$match":{"a":{"$near":1}}}]`, Invalid, `"$near"`},
		{"an operator beside a field", `[{"$match":{"a":{"$gt":1,"b":2}}}]`, Invalid, ""},
		{"$expr", `[{"$match":{"$expr":{"$eq":[1,1]}}}]`, Invalid, ""},
		{"$in without a list", `[{"$match":{"a":{"$in":1}}}]`, Invalid, ""},
		{"$exists with a number", `[{"$match":{"a":{"$exists":1}}}]`, Invalid, ""},
		{"$or without objects", `[{"$match":{"$or":[1]}}]`, Invalid, ""},
		{"$or of nothing", `[{"$match":{"$or":[]}}]`, Invalid, ""},
		{"$not with a value", `[{"$match":{"a":{"$not":1}}}]`, Invalid, ""},
		{"a bad pattern", `[{"$match":{"a":{"$regex":"("}}}]`, Invalid, "not valid"},
		{"a pattern that escapes its options", `[{"$match":{"a":{"$regex":"a)|(b","$options":"i"}}}]`, Invalid, ""},
		{"a long pattern", `[{"$match":{"a":{"$regex":"` + strings.Repeat("a", 129) + `"}}}]`, Invalid, "exceeds 128 characters"},
		{"unknown options", `[{"$match":{"a":{"$regex":"a","$options":"x"}}}]`, Invalid, ""},
		{"options alone", `[{"$match":{"a":{"$options":"i"}}}]`, Invalid, ""},
		{"a hollow path", `[{"$match":{"a..b":1}}]`, Invalid, ""},
		{"a match that is no object", `[{"$match":1}]`, Invalid, ""},
		{"both ways of projecting", `[{"$project":{"a":1,"b":0}}]`, Invalid, "not both"},
		{"computing while excluding", `[{"$project":{"a":0,"b":"$c"}}]`, Invalid, "not both"},
		{"an empty projection", `[{"$project":{}}]`, Invalid, ""},
		{"an empty object in a projection", `[{"$project":{"a":{}}}]`, Invalid, ""},
		{"a field and its part", `[{"$project":{"a":1,"a.b":1}}]`, Invalid, "twice"},
		{"a part and its field", `[{"$addFields":{"a.b":1,"a":1}}]`, Invalid, "twice"},
		{"a part twice", `[{"$unset":["a.b","a.b"]}]`, Invalid, "twice"},
		{"an unknown variable", `[{"$project":{"a":"$$NOW"}}]`, Invalid, "$$ROOT"},
		{"an unknown operator", `[{"$project":{"a":{"$rand":{}}}}]`, Invalid, `"$rand"`},
		{"too few operands", `[{"$project":{"a":{"$subtract":[1]}}}]`, Invalid, "takes 2 operands"},
		{"too many operands", `[{"$project":{"a":{"$round":[1,2,3]}}}]`, Invalid, "takes 1 to 2 operands"},
		{"half a condition", `[{"$project":{"a":{"$cond":{"if":1,"then":2}}}}]`, Invalid, "if, then and else"},
		{"an operator beside a member", `[{"$project":{"a":{"$abs":1,"b":2}}}]`, Invalid, ""},
		{"a dollar in a made name", `[{"$project":{"a":{"b":{"c":"$d"},"$e":1}}}]`, Invalid, ""},
		{"a bad name", `[{"$group":{"_id":1," a":{"$sum":1}}}]`, Invalid, ""},
		{"a dot in a made name", `[{"$group":{"_id":1,"a.b":{"$sum":1}}}]`, Invalid, ""},
		{"a group without a key", `[{"$group":{"n":{"$sum":1}}}]`, Invalid, "_id"},
		{"an unknown accumulator", `[{"$group":{"_id":1,"n":{"$median":1}}}]`, Invalid, "accumulator"},
		{"a plain value for an accumulator", `[{"$group":{"_id":1,"n":1}}]`, Invalid, ""},
		{"$count with a value", `[{"$group":{"_id":1,"n":{"$count":1}}}]`, Invalid, ""},
		{"a sort by words", `[{"$sort":{"a":"asc"}}]`, Invalid, "needs 1 or -1"},
		{"a sort by nothing", `[{"$sort":{}}]`, Invalid, ""},
		{"no limit", `[{"$limit":0}]`, Invalid, ""},
		{"half a limit", `[{"$limit":1.5}]`, Invalid, ""},
		{"a backward skip", `[{"$skip":-1}]`, Invalid, ""},
		{"a nameless count", `[{"$count":""}]`, Invalid, ""},
		{"a count with a dollar", `[{"$count":"$n"}]`, Invalid, ""},
		{"unwind without a dollar", `[{"$unwind":"tags"}]`, Invalid, ""},
		{"unwind with more", `[{"$unwind":{"path":"$a","x":1}}]`, Invalid, ""},
		{"sortByCount of a value", `[{"$sortByCount":"tags"}]`, Invalid, ""},
		{"too many stages", `[` + strings.Repeat(`{"$skip":0},`, 32) + `{"$skip":0}]`, TooLarge, ""},
		{"too many parts", `[{"$match":{"$or":[` + strings.Repeat(`{"a":1},`, 600) + `{"a":1}]}}]`, TooLarge, ""},
		{"too deep", `[{"$project":{"a":` + deep + `}}]`, TooLarge, ""},
		{"too many values", `[{"$match":{"a":{"$in":[` + strings.Repeat("1,", 1000) + `1]}}}]`, TooLarge, ""},

		{"a sum of text", `[{"$project":{"a":{"$add":["$item",1]}}}]`, Invalid, "$add needs numbers."},
		{"a division by zero", `[{"$project":{"a":{"$divide":[1,0.0]}}}]`, Invalid, "$divide cannot divide by zero."},
		{"a number too large", `[{"$project":{"a":{"$multiply":[1e300,1e300]}}}]`, Invalid, "range"},
		{"the size of text", `[{"$project":{"a":{"$size":"$item"}}}]`, Invalid, "$size needs a list."},
		{"the year of text", `[{"$project":{"a":{"$year":"x"}}}]`, Invalid, "$year needs a time"},
		{"in text", `[{"$project":{"a":{"$in":[1,"x"]}}}]`, Invalid, "$in needs a list"},
		{"the rest of text", `[{"$project":{"a":{"$substrCP":["x",-1,1]}}}]`, Invalid, "$substrCP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := through(t, c.pipeline, orders, Limits{})
			var e *Error
			if !errors.As(err, &e) || e.Fault != c.fault || !strings.Contains(e.Message, c.text) {
				t.Errorf("got %s, %v (want %d %q)", got, err, c.fault, c.text)
			}
		})
	}
}

// TestBounds: a pipeline that grows is stopped before it has taken what it must not have.
func TestBounds(t *testing.T) {
	list := `[` + strings.Repeat("1,", 999) + `1]`
	wide := `{"_id":"1","a":` + list + `,"b":` + list + `,"c":` + list + `,"s":"` + strings.Repeat("x", 100_000) + `"}`
	double := `{"$addFields":{"s":{"$concat":["$s","$s"]}}}`
	for name, c := range map[string]struct{ pipeline, text string }{
		"unwinding unwound":   {`[{"$unwind":"$a"},{"$unwind":"$b"},{"$unwind":"$c"},{"$count":"n"}]`, "too many documents on its way"},
		"a value that grows":  {`[` + strings.Repeat(double+",", 9) + double + `]`, "more than 1 MiB"},
		"an array that grows": {`[{"$project":{"x":["$s","$s","$s","$s","$s","$s","$s","$s","$s","$s","$s"]}}]`, "more than 1 MiB"},
		"an object of them":   {`[{"$addFields":{"t":"$s","u":"$s","v":"$s","w":"$s","x":"$s","y":"$s","z":"$s","q":"$s","r":"$s","p":"$s"}}]`, "more than 1 MiB"},
		"a list of a group":   {`[{"$unwind":"$a"},{"$group":{"_id":1,"x":{"$push":"$s"}}}]`, "more than 1 MiB"},
		"what a sort keeps":   {`[{"$unwind":"$a"},{"$sort":{"s":1}}]`, "keeps more than 32 MiB"},
		"the answer":          {`[{"$unwind":"$a"}]`, "answer takes more than 8 MiB"},
		"many groups":         {`[{"$unwind":{"path":"$a","includeArrayIndex":"i"}},{"$group":{"_id":{"i":"$i","s":"$s"}}}]`, "keeps more than 32 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := through(t, c.pipeline, []string{wide}, Limits{})
			var e *Error
			if !errors.As(err, &e) || e.Fault != TooLarge || !strings.Contains(e.Message, c.text) {
				t.Errorf("%v, want %q", err, c.text)
			}
		})
	}
	t.Run("time", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		late := errors.New("late")
		cancel(late)
		p, err := parse(t, `[{"$unwind":"$a"},{"$count":"n"}]`)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Append(ctx, nil, p.stored([]string{wide}), Limits{}); !errors.Is(err, late) {
			t.Errorf("%v", err)
		}
	})
}

// TestEarlyEnd: a $limit ends the reading.
func TestEarlyEnd(t *testing.T) {
	p, err := parse(t, `[{"$project":{"_id":1}},{"$limit":2}]`)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	docs := func(yield func([]byte) bool) {
		for range 1000 {
			if read++; !yield([]byte(`{"_id":"x"}`)) {
				return
			}
		}
	}
	if out, err := p.Append(context.Background(), nil, docs, Limits{}); err != nil || read != 2 {
		t.Errorf("%s, %v after %d documents", out, err, read)
	}
}

// TestWhere: the store is asked what it can answer, and nothing that does not have to hold.
func TestWhere(t *testing.T) {
	p, err := parse(t, `[{"$match":{"a":1,"$or":[{"b":1},{"c":1}]}},{"$match":{"$and":[{"d":{"$gt":1,"$not":{"$gt":5}}}]}},{"$limit":1},{"$match":{"e":1}}]`)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, c := range p.Where() {
		paths = append(paths, c.Path)
	}
	if got := strings.Join(paths, " "); got != "a d" {
		t.Errorf("asks for %q", got)
	}
}

// FuzzParse: whatever is sent, parsing and running end without a panic, and what comes out is JSON.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`[{"$match":{"a":{"$gt":1}}}]`, `[{"$group":{"_id":"$a","n":{"$sum":"$b"}}},{"$sort":{"n":-1}}]`,
		`[{"$project":{"x":{"$cond":[{"$gt":["$a",1]},"$b",{"$concat":["a","$c"]}]}}},{"$unwind":"$x"}]`, `[{"$unset":"a.b"},{"$sortByCount":"$c"}]`,
		`[{"$addFields":{"a.b":{"$divide":["$a",3]}}},{"$count":"n"}]`, `[{"$match":{"$or":[{"a":{"$regex":"x","$options":"i"}}]}}]`} {
		f.Add([]byte(s), []byte(`{"_id":"1","a":1.50,"b":[1,{"c":"x"}],"c":"2026-01-01T00:00:00.000Z"}`))
	}
	f.Fuzz(func(t *testing.T, pipeline, doc []byte) {
		var p, d, o jsondoc.Parser
		v, err := p.Parse([]byte(`{"pipeline":`+string(pipeline)+`}`), jsondoc.Limits{})
		if err != nil {
			return
		}
		parsed, err := Parse(v)
		if err != nil {
			return
		}
		value, err := d.Parse(doc, jsondoc.Limits{})
		if err != nil || value.Kind() != jsondoc.Object {
			return
		}
		text := string(value.Append(nil))
		out, err := parsed.Append(context.Background(), nil, parsed.stored([]string{text, text}), Limits{})
		if err != nil {
			return
		}
		if _, err := o.Parse(out, jsondoc.Limits{Depth: 200, Members: 1 << 20, Items: 1 << 20}); err != nil {
			t.Fatalf("%s of %s: %s: %v", pipeline, text, out, err)
		}
	})
}
