package project

import "testing"

// A filter on a nested or listed field is cast as that field is declared, so `meta.likes=5` finds the number 5.
func TestTypeAt(t *testing.T) {
	c := &Collection{Fields: []Field{
		{Key: "title", Type: TypeString},
		{Key: "tags", Type: TypeArray, Items: &Field{Type: TypeString}},
		{Key: "any", Type: TypeArray},
		{Key: "meta", Type: TypeObject, Fields: []Field{{Key: "likes", Type: TypeNumber}}},
		{Key: "items", Type: TypeArray, Items: &Field{Type: TypeObject, Fields: []Field{{Key: "sku", Type: TypeString}, {Key: "n", Type: TypeNumber}}}},
	}}
	for path, want := range map[string]Type{
		"_id": TypeRef, "createdAt": TypeDate, "updatedAt": TypeDate, "title": TypeString, "tags": TypeString, "tags.0": TypeString,
		"any": "", "meta": TypeObject, "meta.likes": TypeNumber, "meta.other": "", "items.n": TypeNumber, "items.3.n": TypeNumber,
		"items.sku": TypeString, "title.x": "", "nothing": "", "": "",
	} {
		if got := c.TypeAt(path); got != want {
			t.Errorf("TypeAt(%q) = %q, want %q", path, got, want)
		}
	}
}
