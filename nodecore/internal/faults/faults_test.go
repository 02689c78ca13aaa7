package faults

import (
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	var tab Table
	if tab.Active() || tab.To("a@h.x") != (Rule{}) || len(tab.List()) != 0 {
		t.Fatal("the zero table has rules")
	}
	if err := tab.Set("a@h.x", Out, Rule{Block: true}); err != nil {
		t.Fatal(err)
	}
	if !tab.To("a@h.x").Block || tab.From("a@h.x").Block || tab.To("b@h.x").Block {
		t.Errorf("a rule for one direction of one peer: got %+v", tab.List())
	}
	if err := tab.Set("b@h.x", Both, Rule{Delay: time.Millisecond, Drop: 1}); err != nil {
		t.Fatal(err)
	}
	if got := len(tab.List()); got != 3 {
		t.Errorf("rules: got %d, want 3", got)
	}
	if !tab.From("b@h.x").Lose() {
		t.Error("drop 1 lets a packet pass")
	}
	if err := tab.Set("a@h.x", Out, Rule{}); err != nil {
		t.Fatal(err)
	}
	if tab.To("a@h.x").Block {
		t.Error("the zero rule didn't remove the old one")
	}
	tab.Clear("b@h.x")
	if tab.Active() {
		t.Errorf("rules left after clear: %+v", tab.List())
	}
}

func TestSetRefuses(t *testing.T) {
	tests := []struct {
		name string
		dir  Direction
		rule Rule
	}{
		{"negative delay", Out, Rule{Delay: -1}},
		{"huge delay", Out, Rule{Delay: time.Hour}},
		{"drop above one", In, Rule{Drop: 1.5}},
		{"negative drop", In, Rule{Drop: -0.1}},
		{"direction", "sideways", Rule{Block: true}},
	}
	for _, tt := range tests {
		var tab Table
		if err := tab.Set("a@h.x", tt.dir, tt.rule); err == nil || tab.Active() {
			t.Errorf("%s: got error %v, active %v", tt.name, err, tab.Active())
		}
	}
}

// TestHold: nothing goes out until somebody says what may.
func TestHold(t *testing.T) {
	for name, end := range map[string]func(*Table) error{
		"set":   func(t *Table) error { return t.Set("b", Out, Rule{Block: true}) },
		"clear": func(t *Table) error { t.Clear("a"); return nil },
	} {
		table := new(Table)
		table.Hold()
		if !table.Active() || !table.To("a").Block || table.From("a").Block {
			t.Errorf("held: active %t, to %+v, from %+v", table.Active(), table.To("a"), table.From("a"))
		}
		if err := end(table); err != nil {
			t.Fatal(err)
		}
		if table.To("a").Block || table.Active() != (name == "set") {
			t.Errorf("after %s: active %t, to %+v", name, table.Active(), table.To("a"))
		}
	}
}
