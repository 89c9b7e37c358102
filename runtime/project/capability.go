package project

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// BundleDetails are a version of a bundle, so far as it matters to whoever decides whether to run it.
type BundleDetails struct {
	BundleVersion
	Manifest hooks.Manifest       `json:"manifest"`
	Reports  []hooks.ModuleReport `json:"reports"`
	Files    []DeployedModule     `json:"files"`
}

// DiffBundles lists what guests may do or are asked in one bundle and not in the other: modules and what they import, who is asked
// at which event of which collection and in which order, grants, limits and configuration. It says nothing about their code. A nil
// manifest is that of a project without a bundle; reports may be missing where a bundle could not be loaded.
func DiffBundles(old *hooks.Manifest, oldReports []hooks.ModuleReport, next *hooks.Manifest, nextReports []hooks.ModuleReport) []Change {
	before, after := capabilities(old, oldReports), capabilities(next, nextReports)
	paths := slices.Collect(maps.Keys(before))
	for path := range after {
		if _, both := before[path]; !both {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	var changes []Change
	for _, path := range paths {
		was, is := before[path], after[path]
		switch {
		case was == nil:
			changes = append(changes, Change{Op: OpAdd, Path: path, After: is})
		case is == nil:
			changes = append(changes, Change{Op: OpRemove, Path: path, Before: was})
		case string(was) != string(is):
			changes = append(changes, Change{Op: OpChange, Path: path, Before: was, After: is})
		}
	}
	return changes
}

// present is the value of a capability that has no other than to be there.
var present = json.RawMessage("{}")

// wasi is where every language runtime imports from. All of it is inert, so that it counts as one thing.
const wasi = "wasi_snapshot_preview1"

// capabilities are a bundle's, each under a path.
func capabilities(m *hooks.Manifest, reports []hooks.ModuleReport) map[string]json.RawMessage {
	list := map[string]json.RawMessage{}
	if m == nil {
		return list
	}
	for _, mod := range m.Modules {
		list["modules."+mod.Name] = present
	}
	for _, r := range reports {
		for _, name := range r.Imports {
			if strings.HasPrefix(name, wasi+".") {
				name = wasi
			}
			list["modules."+r.Name+".imports."+name] = present
		}
	}
	asked := map[string][]string{}
	for _, b := range m.Bindings {
		events := []string{b.Event}
		if b.Event == hooks.EventPolicy {
			events = nil
			for _, op := range policyOperations(&b) {
				events = append(events, hooks.EventPolicy+"."+op)
			}
		}
		names := b.Collections
		if len(names) == 0 {
			names = []string{Users} // events of accounts name no collection
		}
		for _, c := range names {
			for _, event := range events {
				path := "collections." + c + "." + event
				asked[path] = append(asked[path], b.Module)
			}
		}
	}
	for path, modules := range asked {
		list[path] = marshalled(modules)
	}
	addSettings(list, m)
	return list
}

// policyOperations are the operations at which a policy is asked.
func policyOperations(b *hooks.Binding) []string {
	if len(b.Operations) > 0 {
		return b.Operations
	}
	return []string{hooks.OpInsert.String(), hooks.OpUpdate.String(), hooks.OpDelete.String()}
}

// addSettings adds what else a manifest sets. Of a configuration a hash stands for each value: a difference is printed and logged in
// places where a value may not be.
func addSettings(list map[string]json.RawMessage, m *hooks.Manifest) {
	raw := marshalled(m)
	jsondoc.Fields(raw, func(name, section []byte) bool {
		switch key := string(jsondoc.Unquote(nil, name)); key {
		case "limits", "config", "grants":
			jsondoc.Fields(section, func(name, value []byte) bool {
				path := key + "." + string(jsondoc.Unquote(nil, name))
				switch {
				case key == "config":
					sum := sha256.Sum256(value)
					list[path] = marshalled("sha256:" + hex.EncodeToString(sum[:4]))
				case jsondoc.KindOf(value) == jsondoc.Array:
					jsondoc.Elements(value, func(item []byte) bool {
						list[path+"."+string(jsondoc.Unquote(nil, item))] = present
						return true
					})
				default:
					list[path] = slices.Clone(value)
				}
				return true
			})
		}
		return true
	})
}

// marshalled is the JSON of strings, lists and manifests, all of which can be written.
func marshalled(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		return present
	}
	return raw
}
