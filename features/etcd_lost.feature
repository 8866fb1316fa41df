Feature: Every member of etcd is lost
  Document 002 has two ways back: the members are restored from a snapshot, or etcd is bootstrapped anew. Meanwhile the primary
  demotes itself, since nobody can refresh its leader key. Members have their data in a volume, where an operator's commands
  reach it while they are stopped, and snapshots in another one, /backup.

  # The document's command, but for the names of hosts and the path of the data. It names the member neither by --name nor is it
  # run for the other two, and it fails: so each member begins with nothing when it is started.
  @documented @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is restored from a snapshot as the document writes it
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator runs "etcdctl snapshot save /backup/etcd-snapshot.db" beside etcd on "node1"
    And 5 s to 6 s have passed
    And the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And an operator runs "etcdctl snapshot restore /backup/etcd-snapshot.db --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node1:2380" beside etcd on "node1"
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Changed: the one snapshot is carried to every member and restored there, each by its own name and address.
  @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is restored from a snapshot, each member by its name
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator runs "etcdctl snapshot save /backup/etcd-snapshot.db" beside etcd on "node1"
    And 5 s to 6 s have passed
    And the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And an operator copies "/backup/etcd-snapshot.db" from etcd on "node1" to etcd on "node2"
    And an operator copies "/backup/etcd-snapshot.db" from etcd on "node1" to etcd on "node3"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node1 --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node1:2380" beside etcd on "node1"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node2 --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node2:2380" beside etcd on "node2"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node3 --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node3:2380" beside etcd on "node3"
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes

  # The document's second way, of which it warns that Patroni loses its state.
  @documented @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is bootstrapped anew
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes

  @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is bootstrapped anew while Patroni has a failsafe
    Given the topology "single-region"
    And the Patroni setting "failsafe_mode" is "on"
    And 4 clients writing 25 rows per second each
    When the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And the fault is healed
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes
