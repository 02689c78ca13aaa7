package e2e

import (
	"fmt"
	"strings"
	"time"
)

// postgresql writes at the primary, which is node 1 until that has been removed; what a standby has comes a moment later.
func postgresql() server {
	sql := func(c *contact, at, query string) (string, error) {
		return c.client("psql", "-d", at+" user=postgres dbname=postgres connect_timeout=30", "-Atc", query)
	}
	one := func(c *contact, n nodeStatus) string {
		host, port := c.at(n)
		return "host=" + host + " port=" + port
	}
	primary := func(c *contact, first nodeStatus) string {
		hosts, ports := []string{}, []string{}
		st, _ := c.status(c.cluster)
		for _, n := range append([]nodeStatus{first}, st.Nodes...) {
			host, port := c.at(n)
			hosts, ports = append(hosts, host), append(ports, port)
		}
		return "host=" + strings.Join(hosts, ",") + " port=" + strings.Join(ports, ",") + " target_session_attrs=primary"
	}
	read := func(c *contact, at nodeStatus) (string, error) {
		return sql(c, one(c, at), "select v from conformance")
	}
	return server{
		name: "postgresql", programs: []string{"psql"}, args: []string{"-t", "postgresql"}, second: 2, port: "client",
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			at := primary(c, from)
			if _, err := sql(c, at, fmt.Sprintf("drop table if exists conformance; create table conformance as select '%s' as v", value)); err != nil {
				return "", err
			}
			return eventually(value, func() (string, error) { return read(c, to) })
		},
		keep: read,
		listing: func(c *contact, at nodeStatus) (string, error) {
			return sql(c, primary(c, at), "select application_name || ';' from pg_stat_replication union all select current_setting('cluster_name') || ';'")
		},
		member: func(n nodeStatus) string { return n.Name + ";" },
	}
}

// eventually asks again until the answer is the one that is wanted, for no longer than patience.
func eventually(want string, ask func() (string, error)) (string, error) {
	end := time.NewTimer(patience)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := ask()
		if err == nil && got == want {
			return got, nil
		}
		select {
		case <-tick.C:
		case <-end.C:
			return got, err
		}
	}
}

// galera writes at any node; what another one has comes a moment later.
func galera() server {
	sql := func(c *contact, at nodeStatus, query string) (string, error) {
		host, port := c.at(at)
		return c.client("mariadb", "--no-defaults", "-uroot", "-h"+host, "-P"+port, "-Nse", query)
	}
	read := func(c *contact, at nodeStatus) (string, error) {
		return sql(c, at, "select v from conformance.t where id = 1")
	}
	return server{
		name: "mariadb-galera", programs: []string{"mariadb", "mariadb-backup", "socat"}, args: []string{"-t", "mariadb-galera"}, second: 1, port: "client",
		carry: func(c *contact, from, to nodeStatus, value string) (string, error) {
			query := "create database if not exists conformance; create table if not exists conformance.t (id int primary key, v varchar(40)); replace into conformance.t values (1, '%s')"
			if _, err := sql(c, from, fmt.Sprintf(query, value)); err != nil {
				return "", err
			}
			return eventually(value, func() (string, error) { return read(c, to) })
		},
		keep: read,
		listing: func(c *contact, at nodeStatus) (string, error) {
			return sql(c, at, "show status like 'wsrep_incoming_addresses'")
		},
		member: func(n nodeStatus) string { return n.Listeners["client"] },
	}
}
