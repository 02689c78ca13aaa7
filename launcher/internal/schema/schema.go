// Package schema describes what a TOML file of ours may say: made from the struct that the file is read into, printed as JSON Schema
// (draft 4, which editors read for TOML too), and checked against what a file does say, with all problems at once. It is pure.
//
// Start at Of and Schema.Check.
package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Schema is a JSON Schema, as far as ours need it.
type Schema struct {
	Draft       string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"` // "object", "array", "string", "integer", "number", "boolean"
	Pattern     string             `json:"pattern,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	Maximum     *int               `json:"maximum,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	// Others is what keys that Properties does not have may be; nil: there are none.
	Others     *Schema   `json:"-"`
	Items      *Schema   `json:"items,omitempty"`
	AnyOf      []*Schema `json:"anyOf,omitempty"`
	Additional any       `json:"additionalProperties,omitempty"` // set by JSON
}

// DurationPattern is how a time such as "1m30s" is written.
const DurationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`

// Own is a type that says itself what it is in a file.
type Own interface{ TOMLSchema() *Schema }

// About says what the key of a field is, for people who write the file; nil says nothing.
type About func(of reflect.Type, field reflect.StructField) string

// Of is the schema of what is read into a value of a type: its keys are the toml tags.
func Of(typ reflect.Type, about About) *Schema {
	if own, ok := reflect.New(typ).Interface().(Own); ok {
		return own.TOMLSchema()
	}
	_, text := reflect.New(typ).Interface().(encoding.TextUnmarshaler)
	_, custom := reflect.New(typ).Interface().(toml.Unmarshaler)
	switch {
	case custom:
		panic(typ.String() + " reads TOML itself, and has no schema")
	case text:
		return &Schema{Type: "string"}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return Of(typ.Elem(), about)
	case reflect.Slice:
		return &Schema{Type: "array", Items: Of(typ.Elem(), about)}
	case reflect.Map:
		return &Schema{Type: "object", Others: Of(typ.Elem(), about)}
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Int:
		return &Schema{Type: "integer"}
	case reflect.Float64:
		return &Schema{Type: "number"}
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Struct:
		s := &Schema{Type: "object", Properties: map[string]*Schema{}}
		s.addFields(typ, about)
		return s
	}
	panic("no key is a " + typ.String())
}

// addFields adds the fields of a struct. Those of the struct itself hide those of what it embeds.
func (s *Schema) addFields(typ reflect.Type, about About) {
	for f := range typ.Fields() {
		if f.Anonymous && f.Tag.Get("toml") == "" {
			s.addFields(f.Type, about)
		}
	}
	for f := range typ.Fields() {
		if key := f.Tag.Get("toml"); key != "" && key != "-" {
			one := Of(f.Type, about)
			if about != nil && one.Description == "" {
				one.Description = about(typ, f)
			}
			s.Properties[key] = one
		}
	}
}

// JSON is the schema as a file.
func (s *Schema) JSON(title string) ([]byte, error) {
	s.Draft, s.Title = "http://json-schema.org/draft-04/schema#", title
	s.closeObjects()
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

// closeObjects says of every object what other keys it may have.
func (s *Schema) closeObjects() {
	if s.Type == "object" {
		s.Additional = false
		if s.Others != nil {
			s.Additional = s.Others
			s.Others.closeObjects()
		}
	}
	for _, one := range s.Properties {
		one.closeObjects()
	}
	if s.Items != nil {
		s.Items.closeObjects()
	}
	for _, one := range s.AnyOf {
		one.closeObjects()
	}
}

// kindOf is the type of a value that was read from TOML, in the words of JSON Schema.
func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case int64:
		return "integer"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case map[string]any:
		return "object"
	case time.Time:
		return "time"
	}
	return "array"
}

// words are the types as people say them.
func words(kind string) string {
	return map[string]string{"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "object": "a table", "time": "a time or a date",
		"array": "a list"}[kind]
}

// mismatch says that a value is not of the type that was wanted, and how it would be.
func mismatch(want string, value any) string {
	how := ""
	text, isText := value.(string)
	switch {
	case want == "string" && (kindOf(value) == "integer" || kindOf(value) == "boolean" || kindOf(value) == "number"):
		how = fmt.Sprintf(": write %q", fmt.Sprint(value))
	case want == "integer" && isText && strings.Trim(text, "0123456789") == "" && text != "":
		how = ": write " + text + ", without quotes"
	case want == "boolean" && (text == "true" || text == "false"):
		how = ": write " + text + ", without quotes"
	case want == "array" && isText:
		how = fmt.Sprintf(": write [%q]", text)
	}
	return "want " + words(want) + ", not " + is(value) + how
}

// is is what a value is, in words.
func is(value any) string {
	kind := kindOf(value)
	if kind == "number" {
		return words(kind) + " with a fraction"
	}
	return words(kind)
}
