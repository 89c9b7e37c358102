package runtime

import (
	"cmp"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"unicode"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// The wire shape of a collection's schema, as the contract has it.
type wireField struct {
	Key      string          `json:"key,omitempty"` // empty in items
	Type     project.Type    `json:"type"`
	Required bool            `json:"required"`
	Unique   bool            `json:"unique"`
	Index    bool            `json:"index,omitempty"`
	Ref      string          `json:"ref,omitempty"`
	Format   string          `json:"format,omitempty"`
	Default  json.RawMessage `json:"default,omitempty"`
	Items    *wireField      `json:"items,omitempty"`
	Fields   []wireField     `json:"fields,omitempty"`
}

type wireRLS struct {
	Enabled             bool   `json:"enabled"`
	Mode                string `json:"mode,omitempty"`
	OwnerField          string `json:"ownerField,omitempty"`
	RequireAuthForWrite bool   `json:"requireAuthForWrite"`
}

type wireSchema struct {
	Message    string `json:"message"`
	Collection struct {
		Name    string      `json:"name"`
		Model   []wireField `json:"model"`
		RLS     wireRLS     `json:"rls"`
		Indexes []wireIndex `json:"indexes"`
		Strict  bool        `json:"strict,omitempty"`
	} `json:"collection"`
}

// wireIndex is an index as the file has it: what is declared, and what the server adds for its own questions.
type wireIndex struct {
	Name   string   `json:"name"`
	Fields []string `json:"fields"`
	Unique bool     `json:"unique"`
	Ready  bool     `json:"ready"` // it is complete, so queries use it
}

// indexesOf lists the indexes of a collection.
func (r *request) indexesOf(name string) ([]wireIndex, error) {
	list := []wireIndex{}
	snap, err := r.snapshot()
	if err != nil {
		return nil, err
	}
	c, ok := snap.Collection(name)
	if !ok {
		return list, nil
	}
	for _, x := range c.Indexes {
		list = append(list, wireIndex{x.Name, x.Fields, x.Unique, x.Ready})
	}
	return list, nil
}

// getSchema answers GET /api/schemas/{collection}, for any key and also for users.
func getSchema(r *request) error {
	c := r.state.Collection([]byte(r.param("collection")))
	if c == nil {
		return errSchemaNotFound
	}
	var out wireSchema
	out.Message = "Schema exists"
	out.Collection.Name = c.Name
	out.Collection.Model = wireFields(c.Fields)
	out.Collection.Strict = c.Strict
	out.Collection.RLS = wireRLS{Enabled: c.RLS.Enabled, RequireAuthForWrite: !c.RLS.Enabled || c.RLS.Mode != project.ModeCustom || c.RLS.RequireAuthForWrite}
	if c.RLS.Enabled {
		out.Collection.RLS.Mode, out.Collection.RLS.OwnerField = c.RLS.Mode, c.RLS.OwnerField
	}
	var err error
	if out.Collection.Indexes, err = r.indexesOf(c.Name); err != nil {
		return err
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return r.answerRaw(fasthttp.StatusOK, raw)
}

func wireFields(fields []project.Field) []wireField {
	out := make([]wireField, len(fields))
	for i := range fields {
		out[i] = toWire(&fields[i])
	}
	return out
}

func toWire(f *project.Field) wireField {
	w := wireField{Key: f.Key, Type: f.Type, Required: f.Required, Unique: f.Unique, Index: f.Index, Ref: f.Ref, Format: f.Format, Default: f.Default}
	if f.Items != nil {
		items := toWire(f.Items)
		w.Items = &items
	}
	if len(f.Fields) > 0 {
		w.Fields = wireFields(f.Fields)
	}
	return w
}

// Bounds of a schema that a request declares.
var (
	errSchemaExists  = reason(400, "collection.exists", "Collection/Schema already exists")
	errSchemaName    = reason(400, "collection.name_required", "Collection Name is required")
	errSchemaRefused = reason(400, "collection.invalid", "The collection's schema is not valid.")
)

// newSchema is the body of a POST to /api/schemas. Field types are taken in any case.
type newSchema struct {
	Name   string     `json:"name"`
	Fields []newField `json:"fields"`
}

type newField struct {
	Name     string          `json:"name"`
	Key      string          `json:"key"` // as the schema is shown; name wins
	Type     project.Type    `json:"type"`
	Required bool            `json:"required"`
	Unique   bool            `json:"unique"`
	Default  json.RawMessage `json:"default"`
	Ref      string          `json:"ref"`
	Format   string          `json:"format"`
	Items    *newField       `json:"items"`
	Fields   []newField      `json:"fields"`
}

func (f *newField) field() project.Field {
	out := project.Field{Key: cmp.Or(f.Name, f.Key), Type: f.Type, Required: f.Required, Unique: f.Unique, Default: f.Default, Ref: f.Ref, Format: f.Format}
	if f.Items != nil {
		items := f.Items.field()
		out.Items = &items
	}
	for i := range f.Fields {
		out.Fields = append(out.Fields, f.Fields[i].field())
	}
	return out
}

// wrongType says which type a member should have had, in the contract's words.
func wrongType(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return errSchemaRefused.because(err)
	}
	wants := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Slice: "array"}[wrong.Type.Kind()]
	got, _, _ := strings.Cut(wrong.Value, " ") // "number 5"
	if got == "bool" {
		got = "boolean"
	}
	return errSchemaRefused.saying("Invalid input: expected %s, received %s", cmp.Or(wants, "object"), got).because(err)
}

// judge says what the contract says of a field. What it lets through the project's own validation judges again.
func (f *newField) judge(level int) error {
	name := cmp.Or(f.Name, f.Key)
	switch {
	case name == "":
		return errSchemaRefused.saying("Field name is required")
	case name[0] == '$' || strings.ContainsFunc(name, func(c rune) bool { return c == '.' || unicode.IsSpace(c) }):
		return errSchemaRefused.saying("Field name must not start with '$', contain '.', or include whitespace")
	}
	if err := f.judgeType(level); err != nil {
		return err
	}
	if f.Required && hasDefault(f.Default) || hasDefault(f.Default) && !fitsDefault(f) {
		return errSchemaRefused.saying("Default value type must match field type, and required fields cannot have defaults")
	}
	return nil
}

// judgeType judges a field's type and what it holds, or that of the items of an array.
func (f *newField) judgeType(level int) error {
	plain := false // it may be unique
	switch {
	case is(f.Type, project.TypeString), is(f.Type, project.TypeNumber), is(f.Type, project.TypeBoolean), is(f.Type, project.TypeDate), is(f.Type, project.TypeRef):
		plain = true
	case is(f.Type, project.TypeObject), is(f.Type, project.TypeArray):
	default:
		return errSchemaRefused.saying(`Invalid option: expected one of "string"|"number"|"boolean"|"date"|"object"|"array"|"ref"`)
	}
	if f.Unique && (!plain || level > 1) || level > maxNewLevels || is(f.Type, project.TypeRef) && f.Ref == "" {
		return errSchemaRefused.saying("Invalid field configuration, nesting depth exceeded (max 3 levels), or unique is only supported for top-level primitive fields.")
	}
	if f.Items != nil {
		if err := f.Items.judgeType(level + 1); err != nil {
			return err
		}
	}
	for i := range f.Fields {
		if err := f.Fields[i].judge(level + 1); err != nil {
			return err
		}
	}
	return nil
}

// maxNewLevels is how deep a request may nest fields; a project file may allow itself more.
const maxNewLevels = 3

func is(t, want project.Type) bool { return strings.EqualFold(string(t), string(want)) }

func hasDefault(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// fitsDefault reports whether a default is of its field's type, as far as its first byte tells.
func fitsDefault(f *newField) bool {
	switch jsondoc.KindOf(f.Default) {
	case jsondoc.String:
		return is(f.Type, project.TypeString) || is(f.Type, project.TypeDate) || is(f.Type, project.TypeRef)
	case jsondoc.Number:
		return is(f.Type, project.TypeNumber)
	case jsondoc.Bool:
		return is(f.Type, project.TypeBoolean)
	case jsondoc.Array:
		return is(f.Type, project.TypeArray)
	}
	return is(f.Type, project.TypeObject)
}

// createSchema answers POST /api/schemas, for secret keys: one more collection, with row-level security off, so that only
// secret keys write to it until the project file says otherwise.
func createSchema(r *request) error {
	if r.role != auth.RoleSecret {
		return errKeySecretRequired
	}
	if r.body.Kind() != jsondoc.Object {
		return errBodyMissing
	}
	var body newSchema
	if err := json.Unmarshal(r.http.Request.Body(), &body); err != nil { // strictly parsed before; this is about types
		return wrongType(err)
	}
	if strings.TrimSpace(body.Name) == "" {
		return errSchemaName
	}
	c := project.Collection{Name: strings.TrimSpace(body.Name)}
	for i := range body.Fields {
		if err := body.Fields[i].judge(1); err != nil {
			return err
		}
		c.Fields = append(c.Fields, body.Fields[i].field())
	}
	cfg, err := r.server.registry.AddCollection(r.context(), r.project, c)
	var invalid *project.ConfigError
	switch {
	case errors.Is(err, project.ErrExists):
		return errSchemaExists
	case errors.As(err, &invalid):
		return errSchemaRefused.saying("%s", invalid.Problems[0].Message)
	case err != nil:
		return err
	}
	type named struct {
		Name string `json:"name"`
	}
	var out struct {
		Message string `json:"message"`
		Project struct {
			ID          string  `json:"_id"`
			Name        string  `json:"name"`
			Collections []named `json:"collections"`
		} `json:"project"`
	}
	out.Message = "Schema created successfully"
	out.Project.ID, out.Project.Name = r.project.ID, cfg.Name
	for i := range cfg.Collections {
		out.Project.Collections = append(out.Project.Collections, named{cfg.Collections[i].Name})
	}
	return r.answerJSON(fasthttp.StatusCreated, out)
}
