package runtime

import (
	"encoding/json"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/project"
)

// The wire shape of a collection's schema, as the contract has it.
type wireField struct {
	Key      string          `json:"key,omitempty"` // empty in items
	Type     project.Type    `json:"type"`
	Required bool            `json:"required"`
	Unique   bool            `json:"unique"`
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
		Name  string      `json:"name"`
		Model []wireField `json:"model"`
		RLS   wireRLS     `json:"rls"`
	} `json:"collection"`
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
	out.Collection.RLS = wireRLS{Enabled: c.RLS.Enabled, RequireAuthForWrite: true}
	if c.RLS.Enabled {
		out.Collection.RLS.Mode, out.Collection.RLS.OwnerField = c.RLS.Mode, c.RLS.OwnerField
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
	w := wireField{Key: f.Key, Type: f.Type, Required: f.Required, Unique: f.Unique, Ref: f.Ref, Format: f.Format, Default: f.Default}
	if f.Items != nil {
		items := toWire(f.Items)
		w.Items = &items
	}
	if len(f.Fields) > 0 {
		w.Fields = wireFields(f.Fields)
	}
	return w
}
