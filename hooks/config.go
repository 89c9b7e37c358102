package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Config is what a bundle's guests get from the host function config: a JSON object, compact. In a manifest it is written
// like any other object. nil is the empty object.
type Config []byte

// maxConfigBytes bounds a configuration. Each instance that asks for it has a copy.
const maxConfigBytes = 64 << 10

// parseConfig checks that text, unless it is nil, is a configuration, and returns a compact copy.
func parseConfig(text []byte) (Config, error) {
	if text == nil {
		return nil, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, fmt.Errorf("config: is not JSON: %w", err)
	}
	switch {
	case compact.Bytes()[0] != '{':
		return nil, errors.New("config: is not a JSON object")
	case compact.Len() > maxConfigBytes:
		return nil, fmt.Errorf("config: has %d bytes as JSON, at most %d are allowed", compact.Len(), maxConfigBytes)
	}
	return compact.Bytes(), nil
}

// text returns the object that guests get.
func (c Config) text() []byte {
	if c == nil {
		return []byte("{}")
	}
	return c
}

// MarshalJSON returns the object.
func (c Config) MarshalJSON() ([]byte, error) { return c.text(), nil }

// UnmarshalJSON takes an object; null is none.
func (c *Config) UnmarshalJSON(text []byte) (err error) {
	if string(text) == "null" {
		*c = nil
		return nil
	}
	*c, err = parseConfig(text)
	return err
}

// UnmarshalYAML takes an object that a YAML decoder has read: any value of it that JSON can write.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	var value map[string]any
	if err := unmarshal(&value); err != nil {
		return err
	}
	if value == nil {
		*c = nil
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("config: cannot be written as JSON: %w", err)
	}
	*c, err = parseConfig(text)
	return err
}
