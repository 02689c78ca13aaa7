package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/BurntSushi/toml"
)

type part struct {
	Port  int               `toml:"port"`
	Names []string          `toml:"names"`
	Env   map[string]string `toml:"env"`
}

type file struct {
	part
	Title string          `toml:"title"`
	On    bool            `toml:"on"`
	Parts map[string]part `toml:"parts"`
	List  []part          `toml:"list"`
	Own   either          `toml:"own"`
	Not   func()          `toml:"-"`
}

type either struct{}

func (either) TOMLSchema() *Schema {
	return &Schema{AnyOf: []*Schema{{Type: "string"}, {Type: "integer"}}, Description: "want a text or a number"}
}

func TestCheck(t *testing.T) {
	const text = `
title = 3
on = "true"
port = "4222"
names = "x"
own = 2.5
prot = 1
[env]
A = 1
[parts.a]
port = [1]
nmaes = []
[[list]]
port = 1
[[list]]
port = 1.5
names = ["a", 2]
`
	var v map[string]any
	if _, err := toml.Decode(text, &v); err != nil {
		t.Fatal(err)
	}
	var got []string
	Of(reflect.TypeFor[file](), nil).Check(v, func(key []string, text string) { got = append(got, Path(key)+": "+text) })
	want := []string{
		`env.A: want a text, not a whole number: write "1"`,
		`list[1].names[1]: want a text, not a whole number: write "2"`,
		`list[1].port: want a whole number, not a number with a fraction`,
		`names: want a list, not a text: write ["x"]`,
		`on: want true or false, not a text: write true, without quotes`,
		`own: want a text or a number, not a number with a fraction`,
		`parts.a.nmaes: unknown key; did you mean "names"?`,
		`parts.a.port: want a whole number, not a list`,
		`port: want a whole number, not a text: write 4222, without quotes`,
		`prot: unknown key; did you mean "port"?`,
		`title: want a text, not a whole number: write "3"`,
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			t.Errorf("got  %s\nwant %s", at(got, i), at(want, i))
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

func TestJSON(t *testing.T) {
	b, err := Of(reflect.TypeFor[file](), nil).JSON("a file")
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	env := got["properties"].(map[string]any)["env"]
	if want := "map[additionalProperties:map[type:string] type:object]"; fmt.Sprint(env) != want {
		t.Errorf("env is %v, want %s", env, want)
	}
	if got["additionalProperties"] != false || got["$schema"] != "http://json-schema.org/draft-04/schema#" {
		t.Errorf("the root is not closed: %s", b)
	}
}
