package hooktest_test

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/hooks/hooktest"
)

// Every SDK's example passes the vectors, and answers the same event in the same way for the same fuel.
func TestSDK(t *testing.T) {
	for _, example := range hooktest.Examples() {
		t.Run(example.Language, func(t *testing.T) {
			wasm := example.Wasm(t)
			cache := t.TempDir() // it is compiled once
			var bundles []*hooks.Bundle
			for _, options := range []hooks.Options{{CacheDir: cache}, {CacheDir: cache, Instances: 1}} {
				bundles = append(bundles, hooktest.Load(t, options, wasm))
			}
			t.Run("conforms", func(t *testing.T) { hooktest.ConformanceOf(t, bundles[0]) })
			interpreted := hooktest.Load(t, hooks.Options{Interpreter: true, InitTime: time.Minute, PolicyTime: time.Minute, HookTime: time.Minute}, wasm)
			t.Run("conforms when it is interpreted", func(t *testing.T) { hooktest.ConformanceOf(t, interpreted) })
			bundles = append(bundles, interpreted)
			t.Run("answers the same event in the same way for the same fuel", func(t *testing.T) { sameVerdictSameFuel(t, bundles) })
		})
	}
}

func TestJavaScriptSDK(t *testing.T) {
	cache, example := t.TempDir(), hooktest.JavaScriptExample(t) // the engine is compiled once
	var bundles []*hooks.Bundle
	for _, options := range []hooks.Options{{CacheDir: cache}, {CacheDir: cache, Instances: 1}} {
		bundles = append(bundles, hooktest.LoadScript(t, hooktest.NewHost(t, options), example))
	}
	t.Run("conforms", func(t *testing.T) { hooktest.ConformanceOf(t, bundles[0]) })
	t.Run("answers the same event in the same way for the same fuel", func(t *testing.T) { sameVerdictSameFuel(t, bundles) })
}

// The vectors' events are what the host really sends: an echoing hook gets each of them back.
func TestVectorsShowEventsAsTheHostWritesThem(t *testing.T) {
	length := hooktest.Op(0x20, 0x01, 0xad) // local.get 1, i64.extend_i32_u
	echo := hooktest.Guest{Hook: hooktest.Code(length, hooktest.I64Const(hooktest.BufferAt<<32), hooktest.Op(0x84))}
	bundle := hooktest.Load(t, hooks.Options{}, echo.Wasm())
	for _, vector := range hooktest.Vectors(t) {
		event, name := hooktest.DecodeEvent(t, vector.Event)
		if name == hooks.EventPolicy || name == hooks.EventFilter || event.Op == hooks.OpDelete || event.Op == hooks.OpUpload {
			continue // these cannot send the event back
		}
		d, err := bundle.Hook(context.Background(), event)
		if err != nil {
			t.Fatalf("%s: %v", vector.Name, err)
		}
		var got, want any
		if json.Unmarshal(append(d.Document, d.Claims...), &got) != nil || json.Unmarshal(vector.Event, &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: event\n got %s\nwant %s", vector.Name, append(d.Document, d.Claims...), vector.Event)
		}
	}
}
