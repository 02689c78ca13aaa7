package confedit

import (
	"bytes"
	"errors"
	"strings"
)

// xmlSyntax is XML as configuration files have it: elements within elements, texts in the innermost, attributes. A key is
// the path of an element, from the root element on, and @name at its end an attribute: `clickhouse.users.@replace`. An
// element that stands several times is an array: `hosts.host.1`, and without a number the first. Texts are read without the
// white space around them. Comments, instructions and the document type are passed over; a text with any of them or with
// elements between its words can't be set.
func xmlSyntax() syntax {
	return syntax{
		rules: xmlRules,
		parse: parseXML,
		path:  severalPath,
		key:   joinPath,
		find:  findExact,
		bare: func(s string) (kind, bool) {
			text, err := quoteXML(s, "")
			return kindString, s != "" && err == nil && text == s
		},
		quote: quoteXML,
		add:   addXML,
		plain: true,
	}
}

var xmlRules = &rules{space: " \t\r\n", comment: xmlComment}

type xmlParser struct{ scanner }

func parseXML(src []byte) (*node, error) {
	sc, err := newScanner(src, xmlRules)
	if err != nil {
		return nil, err
	}
	p := xmlParser{sc}
	root := newTable(len(src), len(src))
	root.spread = true
	if p.skipSpace(); p.eof() {
		return root, nil
	}
	if err := p.element(root); err != nil {
		return nil, err
	}
	return root, p.end()
}

func (p *xmlParser) name() (string, error) {
	start := p.pos
	for isWord(p.peek()) || p.peek() == '.' || p.peek() == ':' || p.peek() >= 0x80 {
		p.pos++
	}
	if name := string(p.src[start:p.pos]); name != "" && startsXML(name) {
		return name, nil
	}
	p.pos = start
	return "", p.errorf(start, "expected a name, got %s", p.what())
}

// startsXML reports whether a name starts as names do.
func startsXML(name string) bool { return !isDigit(name[0]) && name[0] != '-' && name[0] != '.' }

// element reads an element into the one around it.
func (p *xmlParser) element(in *node) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	start := p.pos
	if p.peek() != '<' {
		return p.errorf(start, "expected an element, got %s", p.what())
	}
	p.pos++
	name, err := p.name()
	if err != nil {
		return err
	}
	n := &node{origin: originInline, keyEnd: p.pos}
	if err := p.attributes(n); err != nil {
		return err
	}
	if p.has("/>") {
		n.from, n.to = p.pos, p.pos
		n.lead, n.tail, n.drop = ">", "</"+name+">", len("/>")
		p.pos += n.drop
	} else if err := p.content(n, name); err != nil {
		return err
	}
	n.spans = append(n.spans[:0:0], span{start, p.pos})
	in.repeat(name, n)
	in.last, in.lastKey = p.pos, start
	return nil
}

func (p *xmlParser) attributes(n *node) error {
	for {
		p.skip(" \t\r\n")
		if p.peek() == '>' || p.has("/>") {
			return nil
		}
		start := p.pos
		name, err := p.name()
		if err != nil {
			return err
		}
		p.skip(" \t\r\n")
		if p.peek() != '=' {
			return p.errorf(p.pos, "expected '=' after an attribute, got %s", p.what())
		}
		p.pos++
		p.skip(" \t\r\n")
		q := p.peek()
		if q != '"' && q != '\'' {
			return p.errorf(p.pos, "expected a value between quotes, got %s", p.what())
		}
		end := bytes.IndexByte(p.src[p.pos+1:], q)
		if end < 0 {
			return p.errorf(p.pos, "a quote is not closed")
		}
		val := &node{from: p.pos + 1, to: p.pos + 1 + end}
		p.pos = val.to + 1
		p.text(val)
		n.put("@"+name, val, start)
		val.spans[len(val.spans)-1] = span{start - 1, p.pos} // with the white space before it
		n.keyEnd = p.pos
	}
}

// text reads what stands at a node.
func (p *xmlParser) text(n *node) {
	written := string(p.src[n.from:n.to])
	text, ok := unescapeXML(written)
	if n.text = text; !ok {
		n.kind, n.text = kindOther, written
	}
}

// content reads what stands between the tags of an element, up to and with the closing one.
func (p *xmlParser) content(n *node, name string) error {
	p.pos++
	n.from = p.pos
	mixed, begin := false, -1 // begin is where a text starts
	for end := p.pos; ; {
		at := p.pos
		switch {
		case p.eof():
			return p.errorf(n.keyEnd, "element %q is not closed", name)
		case p.has("</"):
			n.to = p.pos
			p.pos += 2
			if closing, err := p.name(); err != nil || closing != name {
				return p.errorf(at, "expected the end of element %q", name)
			}
			if p.skip(" \t\r\n"); p.peek() != '>' {
				return p.errorf(p.pos, "expected '>', got %s", p.what())
			}
			p.pos++
			p.finish(n, begin, end, mixed)
			return nil
		case p.has("<![CDATA["):
			i := bytes.Index(p.src[at:], []byte("]]>"))
			if i < 0 {
				return p.errorf(at, "a CDATA section is not closed")
			}
			p.pos += i + 3
			mixed, end = true, p.pos
		case xmlComment(&p.scanner):
			mixed = mixed || begin >= 0
		case p.peek() == '<':
			n.kind = kindTable
			if err := p.element(n); err != nil {
				return err
			}
		case p.spaceWidth() > 0:
			p.pos++
		default:
			if begin < 0 {
				begin = at
			}
			p.pos++
			end = p.pos
		}
	}
}

// finish gives an element the text that was found in it.
func (p *xmlParser) finish(n *node, begin, end int, mixed bool) {
	if n.kind == kindTable {
		return
	}
	inner := n.to
	switch {
	case mixed: // to be replaced as a whole
		n.kind, n.text = kindOther, strings.TrimSpace(string(p.src[n.from:inner]))
	case begin >= 0:
		n.from, n.to = begin, end
		p.text(n)
	default:
		n.to = n.from
	}
}

func addXML(src []byte, root *node, path []string, value string) (patch, error) {
	way := descend(root, path, (*node).child)
	n, rest := way[len(way)-1], path[len(way)-1:]
	for i, name := range rest {
		name, attribute := strings.CutPrefix(name, "@")
		if !allWord(strings.NewReplacer(".", "_", ":", "_").Replace(name)) || !startsXML(name) || attribute && i < len(rest)-1 {
			return patch{}, errors.New("it can't be added: this is no name of an element or attribute")
		}
	}
	switch {
	case n == root:
		return patch{}, errors.New("it can't be added: it is not in the root element")
	case n.kind == kindArray:
		return patch{}, canAdd(way, path)
	case rest[0][0] == '@':
		return patch{n.keyEnd, n.keyEnd, " " + rest[0][1:] + `="` + value + `"`}, nil
	case n.kind != kindTable && n.text != "":
		return patch{}, errHoldsValue
	}
	member := elements(rest, value)
	switch {
	case n.last == 0:
		return patch{n.from, n.to + n.drop, n.lead + member + n.tail}, nil
	case bytes.IndexByte(src[n.last:n.to], '\n') >= 0:
		return patch{n.last, n.last, eolOf(src) + indentAt(src, n.lastKey) + member}, nil
	}
	return patch{n.last, n.last, member}, nil
}

// elements writes elements, each in the one before it, of which the last, or its attribute, has the value.
func elements(names []string, value string) string {
	last := len(names) - 1
	text := value
	if attribute, ok := strings.CutPrefix(names[last], "@"); ok {
		last--
		text = "<" + names[last] + " " + attribute + `="` + value + `"/>`
	} else {
		text = "<" + names[last] + ">" + value + "</" + names[last] + ">"
	}
	for i := last - 1; i >= 0; i-- {
		text = "<" + names[i] + ">" + text + "</" + names[i] + ">"
	}
	return text
}
