// Package cluster_test shows a Go test against a real cluster: a message that is published on one node arrives on another.
package cluster_test

import (
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"onemore/launcher/launchertest"
)

func TestMain(m *testing.M) { launchertest.Main(m) }

func connect(t *testing.T, url, id string) mqtt.Client {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetClientID(id))
	if tok := c.Connect(); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func TestAcrossNodes(t *testing.T) {
	c := launchertest.Up(t, 3, launchertest.Options{})
	got := make(chan string, 1)
	sub := connect(t, c.Node(3).URL("mqtt"), "subscriber")
	if tok := sub.Subscribe("orders/#", 1, func(_ mqtt.Client, m mqtt.Message) { got <- string(m.Payload()) }); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	c.Node(2).Kill() // the other two don't mind
	pub := connect(t, c.Node(1).URL("mqtt"), "publisher")
	if tok := pub.Publish("orders/1", 1, false, "one more"); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	select {
	case text := <-got:
		if text != "one more" {
			t.Errorf("got %q", text)
		}
	case <-time.After(10 * time.Second):
		t.Error("the message did not arrive")
	}
}
