package broker

import (
	"fmt"
	"testing"
)

func numbers(topic string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s=%d", topic, i))
	}
	return all
}

// Every message arrives once, in order, at subscribers of every node, whatever the QoS.
func TestAcrossNodes(t *testing.T) {
	c := newCluster(t, 3)
	for qos := range byte(3) {
		t.Run(fmt.Sprint("qos", qos), func(t *testing.T) {
			tc := &testCluster{t: t, nodes: c.nodes}
			var subs []*client
			for i := range tc.nodes {
				s := tc.connect(i, fmt.Sprintf("sub%d-%d", qos, i), nil)
				s.subscribe(qos, fmt.Sprintf("q%d/+/x", qos))
				subs = append(subs, s)
			}
			pub := tc.connect(0, fmt.Sprintf("pub%d", qos), nil)
			topic := fmt.Sprintf("q%d/a/x", qos)
			for i := range 200 {
				pub.publish(topic, qos, false, fmt.Sprint(i))
			}
			for _, s := range subs {
				s.expect(numbers(topic, 200)...)
			}
		})
	}
}
