Feature: An operator's care for etcd
  What etcd needs now and then while it holds the leader key: its history is compacted, its store is defragmented, a member is
  replaced, and an alarm for want of space is cleared. Clients of the database are to notice none of it.

  @operations @claim:NO-SPLIT-BRAIN
  Scenario: The history of etcd's keys is compacted
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    When the fault "etcd_compaction" hits the etcd leader
    And 10 s to 12 s have passed
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # 120 MB that were overwritten are left in the store; what is copied is small, so the stall is short.
  @operations @claim:NO-SPLIT-BRAIN
  Scenario: The store of the etcd leader is defragmented after it was filled
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    When an operator runs "head -c 1000000 /dev/zero | tr '\0' x > /tmp/megabyte; for n in $(seq 120); do etcdctl put filling < /tmp/megabyte || exit 1; done; etcdctl del filling; etcdctl compact $(etcdctl endpoint status -w fields | sed -n 's/^.Revision. : //p')" beside etcd on "node1"
    And the fault "etcd_defragmentation" hits the etcd leader
    And 10 s to 12 s have passed
    Then every command of the operator succeeds
    And clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # 200 MB are left to copy: the member that leads etcd answers nobody meanwhile.
  @operations @nightly @claim:NO-SPLIT-BRAIN
  Scenario: A large store of the etcd leader is defragmented
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    When an operator runs "head -c 1000000 /dev/zero | tr '\0' x > /tmp/megabyte; for n in $(seq 200); do etcdctl put filling-$n < /tmp/megabyte || exit 1; done" beside etcd on "node1"
    And the fault "etcd_defragmentation" hits the etcd leader
    And 20 s to 22 s have passed
    Then every command of the operator succeeds
    And clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @operations @claim:NO-SPLIT-BRAIN
  Scenario: A member of etcd is replaced
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    When the fault "etcd_member_replaced" hits the etcd leader
    And 10 s to 12 s have passed
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # A lease is refreshed without a write, so the primary keeps its key.
  @operations @claim:NO-SPLIT-BRAIN
  Scenario: etcd has no space left
    Given the topology "etcd-small-quota"
    And 4 clients writing 25 rows per second each
    When the fault "etcd_no_space" hits the etcd leader
    And 40 s to 42 s have passed
    And the fault is healed
    And 10 s to 12 s have passed
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Nobody can take over, since the leader key would have to be written: the outage lasts until an operator clears the alarm. A
  # lease of 20 s and an election would be over after 30 s.
  @operations @claim:NO-SPLIT-BRAIN
  Scenario: The primary is lost while etcd has no space left
    Given the topology "etcd-small-quota"
    And 4 clients writing 25 rows per second each
    When the fault "etcd_no_space" hits the etcd leader
    And the service "patroni" on the primary dies
    And 60 s to 62 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for between 60 s and 100 s
    And no acknowledged write is lost
    And never do two nodes accept writes
