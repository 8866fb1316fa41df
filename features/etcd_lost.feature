Feature: Every member of etcd is lost
  Document 002 has two ways back: the members are restored from a snapshot, or etcd is bootstrapped anew. Meanwhile the primary
  demotes itself, since nobody can refresh its leader key; with Patroni's failsafe_mode it stays. Members have their data in a
  volume, where an operator's commands reach it while they are stopped, and snapshots in another one, /backup.

  Either way leads to an etcd with the same members and the same token as before, and thereby with the same cluster id. Patroni
  takes one whose raft term is lower than it knew for a member that is behind, and asks it for nothing. The term of a new etcd is 2;
  that of one in use grows with every change of its leader, so some are made first here. The corrected runbooks give the new etcd
  a token of its own, by which its id is another one; as written, agents must be started again.

  # The document's command, but for the names of hosts and the path of the data. It does not say by --name which member it
  # restores, and is not run for the other two: it fails, and each member begins with nothing.
  @documented @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is restored from a snapshot as the document writes it
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator runs "for n in 1 2 3 4; do for id in $(etcdctl member list | cut -d, -f1); do etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379 move-leader $id; done; done; true" beside etcd on "node1"
    And an operator runs "etcdctl snapshot save /backup/etcd-snapshot.db" beside etcd on "node1"
    And the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And an operator runs "etcdctl snapshot restore /backup/etcd-snapshot.db --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node1:2380" beside etcd on "node1"
    And the fault is healed
    And 45 s to 50 s have passed
    And the fault "container_restart" hits the nodes
      | service | patroni |
    And clients can write again
    And every node has rejoined
    Then a DCS that lost every member is repaired
    And every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Changed: the one snapshot is carried to every member and restored there, each by its own name and address. That is what etcd's
  # own documentation says, and not yet enough for Patroni.
  @nightly @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is restored from a snapshot, each member by its name
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator runs "for n in 1 2 3 4; do for id in $(etcdctl member list | cut -d, -f1); do etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379 move-leader $id; done; done; true" beside etcd on "node1"
    And an operator runs "etcdctl snapshot save /backup/etcd-snapshot.db" beside etcd on "node1"
    And the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And an operator copies "/backup/etcd-snapshot.db" from etcd on "node1" to etcd on "node2"
    And an operator copies "/backup/etcd-snapshot.db" from etcd on "node1" to etcd on "node3"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node1 --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node1:2380" beside etcd on "node1"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node2 --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node2:2380" beside etcd on "node2"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node3 --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node3:2380" beside etcd on "node3"
    And the fault is healed
    And 45 s to 50 s have passed
    And the fault "container_restart" hits the nodes
      | service | patroni |
    And clients can write again
    And every node has rejoined
    Then a DCS that lost every member is repaired
    And every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Changed as well: the restored etcd has a token of its own.
  @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is restored from a snapshot, each member by its name and with a new token
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator runs "for n in 1 2 3 4; do for id in $(etcdctl member list | cut -d, -f1); do etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379 move-leader $id; done; done; true" beside etcd on "node1"
    And an operator runs "etcdctl snapshot save /backup/etcd-snapshot.db" beside etcd on "node1"
    And the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And an operator copies "/backup/etcd-snapshot.db" from etcd on "node1" to etcd on "node2"
    And an operator copies "/backup/etcd-snapshot.db" from etcd on "node1" to etcd on "node3"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node1 --initial-cluster-token=restored --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node1:2380" beside etcd on "node1"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node2 --initial-cluster-token=restored --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node2:2380" beside etcd on "node2"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node3 --initial-cluster-token=restored --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node3:2380" beside etcd on "node3"
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then a DCS that lost every member is repaired
    And every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes

  # The document's second way, of which it warns that Patroni loses its state.
  @documented @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is bootstrapped anew
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator runs "for n in 1 2 3 4; do for id in $(etcdctl member list | cut -d, -f1); do etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379 move-leader $id; done; done; true" beside etcd on "node1"
    And the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And the fault is healed
    And 45 s to 50 s have passed
    And the fault "container_restart" hits the nodes
      | service | patroni |
    And clients can write again
    And every node has rejoined
    Then a DCS that lost every member is repaired
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Changed: the new etcd has a token of its own.
  @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is bootstrapped anew with a new token
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator runs "for n in 1 2 3 4; do for id in $(etcdctl member list | cut -d, -f1); do etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379 move-leader $id; done; done; true" beside etcd on "node1"
    And the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And an operator runs "echo --initial-cluster-token=anew > /var/lib/etcd/flags" beside etcd on "node1"
    And an operator runs "echo --initial-cluster-token=anew > /var/lib/etcd/flags" beside etcd on "node2"
    And an operator runs "echo --initial-cluster-token=anew > /var/lib/etcd/flags" beside etcd on "node3"
    And the fault is healed
    And clients can write again
    And every node has rejoined
    And an operator runs "etcdctl get --print-value-only /service/pgquake/config | grep loop_wait" beside etcd on "node2"
    Then a DCS that lost every member is repaired
    And every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes

  # What the members of the cluster tell each other keeps the primary, so clients notice nothing.
  @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is bootstrapped anew with a new token while Patroni has a failsafe
    Given the topology "single-region"
    And the Patroni setting "failsafe_mode" is "on"
    And 4 clients writing 25 rows per second each
    When an operator runs "for n in 1 2 3 4; do for id in $(etcdctl member list | cut -d, -f1); do etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379 move-leader $id; done; done; true" beside etcd on "node1"
    And the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And an operator runs "echo --initial-cluster-token=anew > /var/lib/etcd/flags" beside etcd on "node1"
    And an operator runs "echo --initial-cluster-token=anew > /var/lib/etcd/flags" beside etcd on "node2"
    And an operator runs "echo --initial-cluster-token=anew > /var/lib/etcd/flags" beside etcd on "node3"
    And the fault is healed
    And 25 s to 30 s have passed
    And an operator runs "etcdctl get --print-value-only /service/pgquake/config | grep failsafe_mode" beside etcd on "node2"
    And every node has rejoined
    Then a DCS that lost every member is repaired
    And every command of the operator succeeds
    And clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # The snapshot says that node1 leads, which has followed node2 since: node1 is the primary again, of the timeline that it knows,
  # and loses nothing because it had replayed everything. The restored etcd has a token of its own.
  @nightly @runbooks
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd is restored from a snapshot that is older than the last switchover
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator runs "etcdctl snapshot save /backup/etcd-snapshot.db" beside etcd on "node1"
    And an operator copies "/backup/etcd-snapshot.db" from etcd on "node1" to etcd on "node2"
    And an operator copies "/backup/etcd-snapshot.db" from etcd on "node1" to etcd on "node3"
    And an operator switches over to "node2"
    And every node has rejoined
    And the fault "etcd_member_lost" hits the etcd members
    And 25 s to 30 s have passed
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node1 --initial-cluster-token=restored --initial-cluster-token=restored --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node1:2380" beside etcd on "node1"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node2 --initial-cluster-token=restored --initial-cluster-token=restored --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node2:2380" beside etcd on "node2"
    And an operator runs "etcdutl snapshot restore /backup/etcd-snapshot.db --name node3 --initial-cluster-token=restored --initial-cluster-token=restored --data-dir /var/lib/etcd/pgquake --initial-cluster=node1=http://node1:2380,node2=http://node2:2380,node3=http://node3:2380 --initial-advertise-peer-urls=http://node3:2380" beside etcd on "node3"
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then a DCS that lost every member is repaired
    And every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes
