package confedit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fuzzFormat feeds files, keys and values; a reference reader looks at every edit that went through.
func fuzzFormat(f *testing.F, format string, seeds []string, decode func([]byte) (map[string]string, error)) {
	for _, src := range seeds {
		f.Add([]byte(src), "a.b", "5")
		f.Add([]byte(src), "port", "text with \"quotes' # and\tmore")
		f.Add([]byte(strings.ReplaceAll(src, "\n", "\r\n")), "a.0", "127.0.0.1:1883")
		f.Add([]byte(strings.TrimSuffix(src, "\n")), `x."y.z".w`, "")
	}
	f.Fuzz(func(t *testing.T, src []byte, key, value string) {
		checkAny(t, format, src, key, value)
		if decode == nil {
			return
		}
		sameReading(t, format, decode, src)
		out, err := Apply(format, src, []Edit{{Key: key, Value: value}})
		if err == nil {
			agree(t, format, decode, src, out, key, value)
		}
	})
}

// seeds are the inputs of the table tests of a format, and its files in testdata.
func seeds(f *testing.F, format string, files ...string) []string {
	f.Helper()
	var all []string
	for _, c := range applyCases() {
		if c.format == format {
			all = append(all, c.src)
		}
	}
	for _, name := range files {
		src, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, string(src))
	}
	return all
}

func FuzzTOML(f *testing.F)       { fuzzFormat(f, "toml", seeds(f, "toml"), decodeTOML) }
func FuzzProperties(f *testing.F) { fuzzFormat(f, "properties", seeds(f, "properties"), nil) }
func FuzzBlocks(f *testing.F)     { fuzzFormat(f, "nats", seeds(f, "nats"), nil) }
func FuzzHOCON(f *testing.F)      { fuzzFormat(f, "hocon", seeds(f, "hocon", "emqx50/emqx.conf"), nil) }
func FuzzDirectives(f *testing.F) { fuzzFormat(f, "redis", seeds(f, "redis"), nil) }
func FuzzINI(f *testing.F)        { fuzzFormat(f, "ini", seeds(f, "ini"), nil) }
func FuzzEnv(f *testing.F)        { fuzzFormat(f, "env", seeds(f, "env"), nil) }
func FuzzSettings(f *testing.F)   { fuzzFormat(f, "postgresql", seeds(f, "postgresql"), nil) }
func FuzzKeyValue(f *testing.F)   { fuzzFormat(f, "keyvalue", seeds(f, "keyvalue"), nil) }
func FuzzXML(f *testing.F)        { fuzzFormat(f, "xml", seeds(f, "xml"), decodeXML) }
func FuzzHCL(f *testing.F)        { fuzzFormat(f, "hcl", seeds(f, "hcl"), nil) }
func FuzzJSON(f *testing.F)       { fuzzFormat(f, "json", seeds(f, "json"), decodeJSON) }
func FuzzYAML(f *testing.F)       { fuzzFormat(f, "yaml", seeds(f, "yaml"), decodeYAML) }
