package kvtest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-edge/sluice/kv"
)

// Names that random batches use: few, so that they meet.
var (
	CollectionNames = []string{"posts", "users", "notes"}
	SettingNames    = []string{"kv.maxBytes", "kv.syncMillis", "rules", "schema"}
	CounterNames    = []string{"likes", "visits"}
)

// Documents is how many ids random batches use in each collection.
const Documents = 16

// Chooser picks a number in [0, n); a test decides how.
type Chooser func(n int) int

// RandomBatch makes a batch for a database that is as m describes: mostly one
// that passes, often one that must be refused. The ids of batches made with
// different numbers differ.
func RandomBatch(pick Chooser, m *Model, number int) *kv.Batch {
	b := &kv.Batch{Time: int64(number), Meta: fmt.Appendf(nil, "m%d", number)}
	b.ID[0] = 1
	binary.BigEndian.PutUint64(b.ID[8:], uint64(number))
	for range pick(3) {
		b.Needs = append(b.Needs, randomNeed(pick, m))
	}
	for range 1 + pick(4)*(1+pick(2)) {
		op := randomOp(pick)
		if pick(10) > 0 && slices.ContainsFunc(b.Ops, func(o kv.Op) bool { return thing(o) == thing(op) }) {
			continue // mostly: a batch that names a thing twice is none
		}
		b.Ops = append(b.Ops, op)
	}
	return b
}

func name(pick Chooser, names []string) string { return names[pick(len(names))] }

func randomNeed(pick Chooser, m *Model) kv.Need {
	n := kv.Need{Collection: name(pick, CollectionNames), ID: ID(pick(Documents))}
	c := m.Collections[n.Collection]
	right := pick(6) > 0
	switch pick(4) {
	case 0:
		n.Kind = kv.NeedDoc
		if c != nil && right {
			n.Rev = c.Docs[n.ID].Rev
		} else if !right {
			n.Rev = m.Commit / 2
		}
	case 1:
		n.Kind = kv.NeedUnique
		switch pick(3) {
		case 0:
			n.Name, n.Value = "a", []byte("["+value(pick)+"]")
		case 1:
			n.Name, n.Value = "b.z", []byte("["+value(pick)+"]")
		case 2:
			n.Name, n.Value = "u,a", []byte("["+number(pick)+","+value(pick)+"]")
		}
	case 2:
		n.Kind, n.Rev = kv.NeedCollection, m.Commit
		if !right {
			n.Rev = m.Commit / 2
		}
	case 3:
		n.Kind, n.Collection, n.Name = kv.NeedSetting, "", name(pick, SettingNames)
		if right {
			n.Rev = m.Settings[n.Name].Rev
		}
	}
	return n
}

var (
	long = strings.Repeat("l", 300)
	// Values that are equal though they look different, different though they
	// look equal, of all types, and too long for an index.
	values = []string{`1`, `1.0`, `2`, `3`, `"1"`, `"x"`, `"y"`, `null`, `true`, `false`, `-5`, `-0`, `0`, `1e2`, `100`, `0.1`,
		`9007199254740992`, `9007199254740993`, `9007199254740993.0`, `-18446744073709551615`, `1e308`, `"é😀"`, `""`,
		`[]`, `[1]`, `[1.0,"x"]`, `["x","y",null]`, `[[1],{"z":2}]`, `[{"z":1},{"z":"x"},{"y":[{"z":7}]}]`,
		`{}`, `{"z":1}`, `{"z":"x"}`, `{"z":1.0,"y":{"z":2}}`, `{"y":{"z":2},"z":1}`, `{"z":[1,{"z":1}]}`,
		`"` + long + `"`, `"` + long + `l"`, `{"z":"` + long + long + `"}`, `[` + strings.Repeat(`1,`, 70) + `2]`}
)

func value(pick Chooser) string { return values[pick(len(values))] }

// number is one of many, so that unique indexes on it are mostly kept.
func number(pick Chooser) string { return fmt.Sprint(pick(60)) }

// RandomDocument makes a document: fields a and b of any type, u a number, c
// one of three.
func RandomDocument(pick Chooser, id kv.DocID) string {
	out := `{"_id":"` + id.String() + `"`
	if pick(5) > 0 {
		out += `,"a":` + value(pick)
	}
	if pick(5) > 0 {
		out += `,"b":` + value(pick)
	}
	if pick(5) > 0 {
		out += `,"u":` + number(pick)
	}
	if pick(5) > 0 {
		out += fmt.Sprintf(`,"c":"%d"`, pick(3))
	}
	return out + "}"
}

func randomOp(pick Chooser) kv.Op {
	collection, id := name(pick, CollectionNames), ID(pick(Documents))
	switch k := pick(40); {
	case k < 24:
		return Put(collection, id, RandomDocument(pick, id))
	case k < 30:
		return Delete(collection, id)
	case k < 33:
		op := kv.Op{Kind: kv.OpAdd, Name: name(pick, CounterNames), Delta: int64(pick(5) - 2), HasFloor: pick(2) == 0}
		if pick(8) == 0 {
			op.Delta = []int64{math.MaxInt64, math.MinInt64, 1 << 62}[pick(3)]
		}
		return op
	case k < 35:
		op := kv.Op{Kind: kv.OpSetting, Name: name(pick, SettingNames)}
		switch pick(10) {
		case 0, 1, 2:
		case 3:
			op.Value = []byte("none of your numbers")
		case 4:
			op.Value = fmt.Appendf(nil, "%d", 1+pick(20))
		default:
			op.Value = fmt.Appendf(nil, "%d", 1000+1000*pick(10))
		}
		return op
	case k < 39:
		return kv.Op{Kind: kv.OpCollection, Name: collection, Value: randomDefinition(pick)}
	}
	return kv.Op{Kind: kv.OpDropCollection, Name: collection}
}

// indexes are definitions of indexes; some have a name in common.
var indexes = []string{
	`{"name":"u","fields":["u"],"unique":true}`, `{"name":"u,a","fields":["u","a"],"unique":true}`, `{"name":"b.z","fields":["b.z"],"unique":true}`,
	`{"name":"a","fields":["a"],"unique":true}`, `{"name":"a","fields":["a"]}`, `{"name":"b.z","fields":["b.z"]}`, `{"name":"b.z,c","fields":["b.z","c"]}`,
	`{"name":"c,u","fields":["c","u"],"unique":false}`, `{"name":"c,a,b","fields":["c","a","b"]}`, `{"name":"b","fields":["b"]}`, `{"name":"b.y.z","fields":["b.y.z","u"]}`,
	`{"name":"b.0","fields":["b.0"]}`, `{"name":"c","fields":["c"]}`, `{"name":"u,c,b.z","fields":["u","c","b.z","a"],"unique":true}`,
}

func randomDefinition(pick Chooser) []byte {
	if pick(30) == 0 {
		return []byte(`{"indexes":[{"name":"nothing"}]}`)
	}
	var list []string
	for range pick(5) {
		list = append(list, indexes[pick(len(indexes))])
	}
	return []byte(`{"indexes":[` + strings.Join(list, ",") + `]}`)
}
