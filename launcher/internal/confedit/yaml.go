package confedit

// yamlSyntax is YAML with block and flow collections in one document. Anchors, tags and aliases are passed over: an
// anchored value that is changed changes for its aliases too, and an alias is a text to be replaced as a whole. Keys
// written with `? ` and several documents in one file are refused. Of keys that stand twice the last wins.
func yamlSyntax() syntax {
	return syntax{
		rules: yamlRules,
		parse: parseYAML,
		flat:  true,
		path:  flatPath,
		key:   joinPath,
		find:  findExact,
		bare:  bareYAML,
		quote: quoteYAML,
		add:   addYAML,
		plain: true,

		indented: true,
	}
}

type yamlParser struct {
	scanner
	anchors map[string]*node
}

func parseYAML(src []byte) (*node, error) {
	sc, err := newScanner(src, yamlRules)
	if err != nil {
		return nil, err
	}
	for i, c := range src {
		if c == '\r' && (i+1 == len(src) || src[i+1] != '\n') {
			return nil, sc.errorf(i, "a carriage return without a new line")
		}
	}
	p := yamlParser{scanner: sc, anchors: map[string]*node{}}
	if err := prologue(&p); err != nil {
		return nil, err
	}
	root := newTable(len(src), len(src))
	if !p.eof() && !p.marker() {
		if root, err = p.block(-1); err != nil {
			return nil, err
		}
		if root.scalar() {
			return nil, p.errorf(root.from, "expected a mapping, got a single value")
		}
		if err := p.toContent(); err != nil {
			return nil, err
		}
	}
	for p.marker() && p.peek() == '.' {
		p.pos += 3
		if err := p.toContent(); err != nil {
			return nil, err
		}
	}
	switch {
	case p.eof():
		return root, nil
	case p.marker():
		return nil, p.errorf(p.pos, "more than one document in a file")
	}
	return nil, p.errorf(p.pos, "expected a key at the column of those above, got %s", p.what())
}

// block reads the node that starts here and whose lines are indented by more than its parent.
func (p *yamlParser) block(parent int) (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.dash() {
		return p.sequence(p.column())
	}
	if p.peek() == '?' && p.blankAt(1) {
		return nil, p.errorf(p.pos, "keys written with '? ' are not supported")
	}
	start := p.pos
	_, isKey, err := p.tryKey()
	if err != nil {
		return nil, err
	}
	p.pos = start
	if isKey {
		return p.mapping(p.column())
	}
	return p.inLine(parent)
}

// inLine reads a node that can follow a key on its line, or properties and then any node.
func (p *yamlParser) inLine(parent int) (*node, error) {
	after, tagged := p.pos, false
	anchor := ""
	for p.peek() == '&' || p.peek() == '!' {
		start := p.pos
		for !p.blankAt(0) {
			p.pos++
		}
		if p.src[start] == '&' {
			anchor = string(p.src[start+1 : p.pos])
		}
		after, tagged = p.pos, true
		p.skipBlanks()
	}
	var n *node
	var err error
	if tagged && (p.atLineEnd() || p.peek() == '#') {
		n, err = p.below(parent, after)
	} else if n, err = p.content(parent); err == nil && tagged && n.scalar() {
		n.kind = kindOther
	}
	if anchor != "" {
		p.anchors[anchor] = n
	}
	return n, err
}

func (p *yamlParser) content(parent int) (*node, error) {
	var n *node
	var err error
	switch c := p.peek(); {
	case c == '|' || c == '>':
		return blockText(p, parent)
	case c == '{' || c == '[' || c == '"' || c == '\'':
		n, err = p.flow()
	default:
		n, err = p.plainText(parent, false)
	}
	if err != nil {
		return nil, err
	}
	end := p.pos
	p.skipBlanks()
	if !p.atLineEnd() && (p.peek() != '#' || p.pos == end) {
		return nil, p.errorf(p.pos, "expected the end of a value, got %s", p.what())
	}
	return n, nil
}

// below reads the node on the lines below a key, a dash or properties, which end at after: nothing, if these lines are
// not indented.
func (p *yamlParser) below(parent, after int) (*node, error) {
	if err := p.toContent(); err != nil {
		return nil, err
	}
	if p.column() > parent {
		return p.block(parent)
	}
	return &node{kind: kindNull, from: after, to: after, lead: " "}, nil
}

func (p *yamlParser) sequence(column int) (*node, error) {
	n := &node{kind: kindArray, from: p.pos}
	for p.column() == column && p.dash() {
		start := p.pos
		p.pos++
		after := p.pos
		p.skipBlanks()
		var val *node
		var err error
		if p.atLineEnd() || p.peek() == '#' {
			val, err = p.below(column, after)
		} else {
			val, err = p.block(column)
		}
		if err != nil {
			return nil, err
		}
		val.spans = append(val.spans, span{start, val.to})
		n.children = append(n.children, val)
		n.to = val.to
		if err := p.toContent(); err != nil {
			return nil, err
		}
	}
	if p.column() > column {
		return nil, p.errorf(p.pos, "expected '- ' at the column of those above, got %s", p.what())
	}
	return n, nil
}

func (p *yamlParser) mapping(column int) (*node, error) {
	n := newTable(p.pos, p.pos)
	n.indent = column
	for p.column() == column {
		if p.dash() {
			break
		}
		start := p.pos
		name, ok, err := p.tryKey()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, p.errorf(start, "expected a key and ':'")
		}
		p.pos++
		val, err := p.member(column)
		if err != nil {
			return nil, err
		}
		n.put(name, val, start)
		n.to, n.last, n.lastKey = val.to, val.to, start
		if err := p.toContent(); err != nil {
			return nil, err
		}
	}
	if p.column() > column {
		return nil, p.errorf(p.pos, "expected a key at the column of those above, got %s", p.what())
	}
	return n, nil
}

// member reads what follows the colon of a key.
func (p *yamlParser) member(column int) (*node, error) {
	after := p.pos
	p.skipBlanks()
	if !p.atLineEnd() && p.peek() != '#' {
		if p.dash() || p.peek() == '?' && p.blankAt(1) {
			return nil, p.errorf(p.pos, "a block can't start on the line of its key")
		}
		return p.inLine(column)
	}
	if err := p.toContent(); err != nil {
		return nil, err
	}
	if p.column() == column && p.dash() {
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		return p.sequence(column)
	}
	return p.below(column, after)
}
