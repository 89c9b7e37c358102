package runtime

import (
	"errors"
	"strings"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// maxPopulated is how many documents one answer may pull in by reference.
const maxPopulated = 1000

var errPopulate = reason(400, "query.populate", "The query cannot populate that path.")

// population is what `populate` asks for: the tree of paths that name references, and what was found so far, so that a
// document that many refer to is read once.
type population struct {
	paths fieldSet
	found map[target][]byte // what stands in for the reference; nil: the reference stays
}

// target is what a reference names.
type target struct {
	collection string
	id         kv.DocID
}

// parsePopulate reads one `populate` or `expand` parameter: comma-separated paths of declared fields. A path that is no
// reference is left alone, as in the contract; one that is not declared is a mistake.
func (q *listQuery) parsePopulate(list string, c *project.Collection) error {
	for path := range strings.SplitSeq(list, ",") {
		if path = strings.TrimSpace(path); path == "" {
			continue
		}
		f := c.FieldAt(path)
		if f == nil && c.TypeAt(path) == "" {
			if top := c.Field(path); top == nil {
				return errPopulate.saying("Cannot populate path %q: it is not declared in the schema.", path)
			}
			continue
		}
		if f == nil || f.Type != project.TypeRef {
			continue
		}
		if q.populate.paths == nil {
			q.populate.paths = fieldSet{}
		}
		q.populate.paths.add(path)
	}
	return nil
}

// appendPopulated appends a document with its references replaced by what they refer to. prefix is the path to it.
func (r *request) appendPopulated(dst []byte, v jsondoc.Value, paths fieldSet, prefix string) ([]byte, error) {
	dst = append(dst, '{')
	empty := true
	for key, value := range v.Members() {
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		dst = append(jsondoc.AppendString(dst, key), ':')
		child, named := paths[string(key)]
		if !named {
			dst = value.Append(dst)
			continue
		}
		var err error
		if dst, err = r.appendReferred(dst, value, child, prefix+string(key)); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// appendReferred appends the value at a path that leads to references: a nil child means that it is one itself.
func (r *request) appendReferred(dst []byte, v jsondoc.Value, child fieldSet, path string) ([]byte, error) {
	var err error
	switch v.Kind() {
	case jsondoc.Array:
		dst = append(dst, '[')
		for i, item := range v.Items() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = r.appendReferred(dst, item, child, path); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case jsondoc.Object:
		if child != nil {
			return r.appendPopulated(dst, v, child, path+".")
		}
	case jsondoc.String:
		if id, ok := kv.ParseDocID(v.Text()); ok && child == nil {
			return r.appendTarget(dst, v, target{r.collection.FieldAt(path).Ref, id})
		}
	}
	return v.Append(dst), nil
}

// appendTarget appends the document that a reference names, if this caller could read it directly; else the reference
// stays. A reference to nothing becomes null.
func (r *request) appendTarget(dst []byte, ref jsondoc.Value, t target) ([]byte, error) {
	text, known := r.query.populate.found[t]
	if !known {
		if len(r.query.populate.found) >= maxPopulated {
			return nil, errPopulate.saying("The query refers to more than %d documents. Ask for a smaller page.", maxPopulated)
		}
		var err error
		if text, err = r.readTarget(t.id, t.collection); err != nil {
			return nil, err
		}
		if r.query.populate.found == nil {
			r.query.populate.found = map[target][]byte{}
		}
		r.query.populate.found[t] = text
	}
	if text == nil {
		return ref.Append(dst), nil
	}
	return append(dst, text...), nil
}

// readTarget reads what a reference names, under the read rules of its own collection: nil when this caller may not read
// it. A user is shown as its public profile, to everybody.
func (r *request) readTarget(id kv.DocID, name string) ([]byte, error) {
	rules := r.state.Collection([]byte(name))
	snap, err := r.snapshot()
	if err != nil || rules == nil {
		return nil, err
	}
	c, ok := snap.Collection(name)
	if !ok {
		return []byte("null"), nil
	}
	if r.role != auth.RoleSecret && name != project.Users && hides(rules, r) {
		return r.readHidden(snap, c, id, rules)
	}
	doc, err := snap.Get(c, id)
	if errors.Is(err, kv.ErrNotFound) {
		return []byte("null"), nil
	}
	if err != nil || name != project.Users {
		return doc.JSON, err
	}
	user, err := r.targetParser.Parse(doc.JSON, storedLimits)
	if err != nil {
		return nil, err
	}
	return appendPublicProfile(nil, &r.state.Config.Auth, rules, user), nil
}

// hides reports whether a collection may hold documents that this caller, with a publishable key, must not notice.
func hides(rules *project.Collection, r *request) bool {
	return rules.RLS.Enabled && rules.RLS.Mode != project.ModePublicRead ||
		r.asksReader(rules, hooks.OpFilter) || r.asksReader(rules, hooks.OpRead)
}

// readHidden is readTarget where a missing document must look like one that the caller may not see: nil for both.
func (r *request) readHidden(snap *kv.Snapshot, c *kv.Collection, id kv.DocID, rules *project.Collection) ([]byte, error) {
	asked := r.asksReader(rules, hooks.OpFilter) || r.asksReader(rules, hooks.OpRead)
	if rules.RLS.Enabled && rules.RLS.Mode == project.ModeCustom && !asked {
		return nil, nil
	}
	doc, err := snap.Get(c, id)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if rules.RLS.Enabled && rules.RLS.Mode == project.ModePrivate && (r.user.UserID == "" || !ownedBy(doc.JSON, rules.RLS.OwnerField, r.user.UserID)) {
		return nil, nil
	}
	if !asked {
		return doc.JSON, nil
	}
	err = hidden(r.maySee(rules, c, &doc))
	if e := (*Error)(nil); errors.As(err, &e) && e.hides != nil {
		return nil, nil
	}
	return doc.JSON, err
}
