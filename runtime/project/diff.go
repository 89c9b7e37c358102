package project

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// What a Change does.
const (
	OpAdd    = "add"
	OpChange = "change"
	OpRemove = "remove"
)

// Change is one difference between two Configs.
type Change struct {
	Op     string          `json:"op"`               // add, change or remove
	Path   string          `json:"path"`             // collections.posts.fields.title.type: lists of named things go by name
	Before json.RawMessage `json:"before,omitempty"` // nil for add
	After  json.RawMessage `json:"after,omitempty"`  // nil for remove
}

// String is one line of a printed difference: `~ collections.posts.rls.mode: "private" -> "public-read"`.
func (c Change) String() string {
	switch c.Op {
	case OpAdd:
		return "+ " + c.Path + shown(c.After)
	case OpRemove:
		return "- " + c.Path + shown(c.Before)
	}
	return "~ " + c.Path + ": " + string(c.Before) + " -> " + string(c.After)
}

// shown is a value behind its path. Objects are known by their path; their text would fill the screen.
func shown(raw json.RawMessage) string {
	if jsondoc.KindOf(raw) == jsondoc.Object {
		return ""
	}
	return ": " + string(raw)
}

// Diff lists what turns old into next, in the order of Config's members: first what is changed or removed in old's order,
// then what is added in next's. Neither is changed; a nil Config is one that declares nothing. Two Configs that are equal
// once normalised have no differences. The order of collections and domains means nothing; the order of fields is the
// order in which they are judged, so a new order is a change.
func Diff(old, next *Config) []Change {
	d := differ{}
	before, after := d.tree(old), d.tree(next)
	d.objects("", before, after)
	return d.changes
}

// diffLimits: a Config is bounded by Validate, not by what a request may hold.
var diffLimits = jsondoc.Limits{Depth: 128, Members: 1 << 20, Items: 1 << 20}

type differ struct{ changes []Change }

// tree is the normalised Config as JSON.
func (d *differ) tree(c *Config) jsondoc.Value {
	raw := []byte("{}")
	if c != nil {
		c = c.Clone()
		c.Normalize()
		slices.Sort(c.AllowedDomains)
		c.AllowedDomains = slices.Compact(c.AllowedDomains)
		text, err := json.Marshal(c)
		if err != nil {
			return jsondoc.Value{} // only an unparsable default can do this; Validate refuses it
		}
		raw = text
	}
	v, err := new(jsondoc.Parser).Parse(raw, diffLimits)
	if err != nil {
		return jsondoc.Value{}
	}
	return v
}

func (d *differ) add(op, path string, before, after jsondoc.Value) {
	c := Change{Op: op, Path: path}
	if before.Exists() {
		c.Before = before.Append(nil)
	}
	if after.Exists() {
		c.After = after.Append(nil)
	}
	d.changes = append(d.changes, c)
}

func (d *differ) objects(path string, before, after jsondoc.Value) {
	for key, b := range before.Members() {
		d.pair(join(path, string(key)), b, after.Get(string(key)))
	}
	for key, a := range after.Members() {
		if !before.Get(string(key)).Exists() {
			d.pair(join(path, string(key)), jsondoc.Value{}, a)
		}
	}
}

func (d *differ) pair(path string, before, after jsondoc.Value) {
	switch {
	case lastKey(path) != "default" && named(before, after):
		d.lists(path, before, after)
	case !after.Exists():
		d.add(OpRemove, path, before, after)
	case !before.Exists():
		d.add(OpAdd, path, before, after)
	case lastKey(path) != "default" && before.Kind() == jsondoc.Object && after.Kind() == jsondoc.Object:
		d.objects(path, before, after)
	case string(before.Append(nil)) != string(after.Append(nil)):
		d.add(OpChange, path, before, after)
	}
}

// lists compares lists of things that have names.
func (d *differ) lists(path string, before, after jsondoc.Value) {
	var kept []string
	for _, b := range before.Items() {
		name := nameOf(b)
		a := byName(after, name)
		if a.Exists() {
			kept = append(kept, name)
		}
		d.pair(join(path, name), b, a)
	}
	var order []string
	for _, a := range after.Items() {
		name := nameOf(a)
		if byName(before, name).Exists() {
			order = append(order, name)
		} else {
			d.pair(join(path, name), jsondoc.Value{}, a)
		}
	}
	if lastKey(path) == "fields" && !slices.Equal(kept, order) {
		d.changes = append(d.changes, Change{Op: OpChange, Path: path, Before: namesJSON(kept), After: namesJSON(order)})
	}
}

// named reports whether both are lists of things with names, at least one of them not empty; a missing one counts as empty.
func named(before, after jsondoc.Value) bool {
	some := false
	for _, list := range []jsondoc.Value{before, after} {
		if list.Exists() && list.Kind() != jsondoc.Array {
			return false
		}
		for _, item := range list.Items() {
			if nameOf(item) == "" {
				return false
			}
			some = true
		}
	}
	return some
}

func nameOf(v jsondoc.Value) string {
	if name := v.Get("name"); name.Exists() {
		return string(name.Text())
	}
	return string(v.Get("key").Text())
}

func byName(list jsondoc.Value, name string) jsondoc.Value {
	for _, item := range list.Items() {
		if nameOf(item) == name {
			return item
		}
	}
	return jsondoc.Value{}
}

func namesJSON(names []string) json.RawMessage {
	out := []byte{'['}
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = jsondoc.AppendString(out, name)
	}
	return append(out, ']')
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
