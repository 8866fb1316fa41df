Feature: etcd asks for passwords
  Agents have a user of their own, who may read and write the keys of clusters and no others. A client whose token a member does
  not know has to ask for a new one, which takes a majority of the members: after each change of leader, and while one is missing.

  @quick @passwords @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies where etcd asks for passwords
    Given the topology "etcd-passwords"
    And 4 clients writing 25 rows per second each
    When an operator runs "env -u ETCDCTL_USER etcdctl get --prefix /service/ 2>&1 | grep -q 'user name is empty' && etcdctl get --prefix /service/ --keys-only | grep -q leader" beside etcd on "node1"
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    And an operator runs "etcdctl get --rev=2 anything 2>&1 | grep -q 'has been compacted' && ls /var/lib/etcd/pgquake/member/snap/*.snap" beside etcd on "node2"
    Then every command of the operator succeeds
    And clients can't write for at most 40 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  # An operator's etcdctl asks by a password, too. The new member copies the users with the rest.
  @passwords @nightly @claim:NO-SPLIT-BRAIN
  Scenario: Members are replaced and compacted under passwords
    Given the topology "etcd-passwords"
    And 4 clients writing 25 rows per second each
    When the fault "etcd_compaction" hits the etcd leader
    And the fault "etcd_member_replaced" hits the etcd leader
    And 10 s to 12 s have passed
    And the service "patroni" on the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 40 s
    And no acknowledged write is lost
    And never do two nodes accept writes
