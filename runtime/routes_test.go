package runtime

import (
	"slices"
	"testing"
)

// Every route of the public listener that takes a key counts the request against the project's limits, once the page that
// sends it may use the key.
func TestEveryRouteWithAKeyIsLimited(t *testing.T) {
	for _, rt := range publicRoutes() {
		var names []string
		for _, st := range rt.stages {
			names = append(names, st.name)
		}
		key := slices.Index(names, stageKey.name)
		if key < 0 {
			continue
		}
		if rest := names[key:]; len(rest) < 3 || rest[1] != stageOrigin.name || rest[2] != stageLimits.name {
			t.Errorf("%s %s goes %q: after the key come origin and limits", rt.method, rt.pattern, names)
		}
	}
}
