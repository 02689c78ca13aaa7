package learn

import (
	"slices"
	"testing"

	"onemore/launcher/internal/proc"
)

func TestPrefixes(t *testing.T) {
	for _, tt := range []struct {
		program string
		want    []string
	}{
		{"/usr/bin/kvd", []string{"KVD_"}},
		{"/usr/sbin/rabbit-serve", []string{"RABBIT_", "RABBIT_SERVE_"}},
		{"./bin/kafka-start.sh", []string{"KAFKA_", "KAFKA_START_"}},
		{"influxd", []string{"INFLUXD_", "INFLUX_"}},
		{"sh", nil},
		{"./bin/start", nil},
		{"./7z", nil},
	} {
		if got := prefixes(tt.program); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.program, got, tt.want)
		}
	}
}

func TestVariablesIn(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"--port PORT   [$KVD_PORT]", []string{"KVD_*"}},
		{"x\x00KVD_DATA_DIR\x00y", []string{"KVD_*"}},
		{"KVD_ KVD_x MY_KVD_PORT", nil},
		{"KVD_SERVER_OPTS=${KVD_SERVER_OPTS}", []string{"KVD_*", "KVD_SERVER_*"}},
	} {
		if got := variablesIn(tt.text, []string{"KVD_", "KVD_SERVER_"}); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestOwnVariables: this test's own program names LEARN_TEST_ADDRESS, and so seems to read what begins so.
func TestOwnVariables(t *testing.T) {
	t.Setenv("LEARN_TEST_ADDRESS", "")
	exe := self(t)
	spawner := proc.NewSpawner(proc.SpawnerOptions{})
	defer spawner.Close()
	l := &learner{self: t.TempDir(), scratch: t.TempDir(), id: "x", spawner: spawner, command: command{args: []string{exe}, path: exe}}
	if got, want := l.ownVariables(t.Context()), []string{"LEARN_*"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
