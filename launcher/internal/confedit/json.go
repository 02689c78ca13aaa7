package confedit

// jsonSyntax is JSON as RFC 8259 has it, without comments and trailing commas. Of members of one name the last wins.
func jsonSyntax() syntax {
	return syntax{
		rules: jsonRules,
		parse: parseJSON,
		flat:  true,
		path:  flatPath,
		key:   joinPath,
		find:  findExact,
		bare:  jsonBare,
		quote: func(s, _ string) (string, error) { return quoteJSON(s), nil },
		add:   addJSON,
	}
}

var jsonRules = &rules{space: " \t\r\n", escapes: jsonEscapes}

func jsonBare(s string) (kind, bool) {
	switch {
	case s == "true" || s == "false":
		return kindBool, true
	case s == "null":
		return kindNull, true
	case jsonNumber(s):
		return kindNumber, true
	}
	return kindString, false
}

type jsonParser struct{ scanner }

func parseJSON(src []byte) (*node, error) {
	sc, err := newScanner(src, jsonRules)
	if err != nil {
		return nil, err
	}
	p := jsonParser{sc}
	p.skipSpace()
	root, err := p.value()
	if err != nil {
		return nil, err
	}
	if root.scalar() {
		return nil, p.errorf(root.from, "expected an object, got a single value")
	}
	return root, p.end()
}

func (p *jsonParser) value() (*node, error) {
	switch p.peek() {
	case '{':
		return p.table(p.member)
	case '[':
		return p.array(p.value)
	case '"':
		return p.quoted()
	}
	return p.bare(",:[]{}\" \t\r\n", jsonBare)
}

func (p *jsonParser) member(n *node) error {
	if p.peek() != '"' {
		return p.errorf(p.pos, "expected a quoted name, got %s", p.what())
	}
	start := p.pos
	name, err := p.quoted()
	if err != nil {
		return err
	}
	p.skipSpace()
	if p.peek() != ':' {
		return p.errorf(p.pos, "expected ':' after a name, got %s", p.what())
	}
	p.pos++
	p.skipSpace()
	val, err := p.value()
	if err == nil {
		n.put(name.text, val, start)
	}
	return err
}

func addJSON(src []byte, root *node, path []string, value string) (patch, error) {
	way := descend(root, path, (*node).child)
	if err := canAdd(way, path); err != nil {
		return patch{}, err
	}
	var names []string
	for _, name := range path[len(way)-1:] {
		names = append(names, quoteJSON(name))
	}
	return brackets{commas: true, unit: "  "}.addInside(src, way[len(way)-1], nested(names, ": ", value, ": {", "}")), nil
}
