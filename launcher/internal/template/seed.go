package template

// TakesSeed tells whether a call of [[seed]] is for the file that people give.
func TakesSeed(t *Template, c *Call) bool { return t.callReads(c, "Seed") }
