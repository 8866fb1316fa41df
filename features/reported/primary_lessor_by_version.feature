Feature: "not a primary lessor", before and after Patroni reads it
  patroni #3407 and #3595, etcd #21671. The disk of the member that leads etcd stalls: the others elect a leader within seconds, and the one
  with the stalled disk does not hear of it, because it waits for its disk. Asked to renew a lease, it doubts its leadership, and after its own limit of
  7 s it answers "not a primary lessor", by the code of an unknown error. Patroni 4.1.0 does not ask another member then: it takes
  the leader key for lost and demotes its primary at once. 4.1.3 and later ask another one. An agent waits for one of three members for a
  third of retry_timeout, so that has to be longer than 21 s here; with less it gives up first, and asks another one by itself.
  The two scenarios differ in Patroni's version alone. An agent asks the member that it happens to know: the partition leaves it the one on its
  own host, which an operator then makes the leader. He waits until the primary's agent has written its status, so that its next turn is 10 s away, and
  a second longer, until the member's store has that too; and he writes a key once the disk stalls, because a member without anything to write does not
  wait for its disk.

  # It fails, and is right to: the primary demotes itself with two members of etcd well, and starts again when the disk is healed.
  @nightly @disk @claim:NO-SPLIT-BRAIN
  Scenario: The disk of the etcd leader stalls, and Patroni is 4.1.0
    Given the topology "single-region"
    And the version of "patroni" is "4.1.0"
    And the Patroni setting "ttl" is "60"
    And the Patroni setting "retry_timeout" is "25"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the primary is partitioned from the rest
      | ports | 2379   |
      | by    | reject |
    And 15 s to 20 s have passed
    And the fault is healed
    And an operator runs "e='etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379'; k=$($e get --keys-only --prefix /service/ | grep /status); p=$($e get --print-value-only ${k%status}leader); $e move-leader $($e member list | grep $p | cut -d, -f1); timeout 15 $e watch $k -- sh -c 'kill $PPID'; true" beside etcd on "node3"
    And 1 s to 2 s have passed
    And the DCS volume of the etcd leader stalls
    And an operator runs "timeout 5 etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379 put written once || true" beside etcd on "node3"
    And 45 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And never do two nodes accept writes

  @nightly @versions @disk @claim:NO-SPLIT-BRAIN
  Scenario: The disk of the etcd leader stalls, and Patroni is 4.1.5
    Given the topology "single-region"
    And the version of "patroni" is "4.1.5"
    And the Patroni setting "ttl" is "60"
    And the Patroni setting "retry_timeout" is "25"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the primary is partitioned from the rest
      | ports | 2379   |
      | by    | reject |
    And 15 s to 20 s have passed
    And the fault is healed
    And an operator runs "e='etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379'; k=$($e get --keys-only --prefix /service/ | grep /status); p=$($e get --print-value-only ${k%status}leader); $e move-leader $($e member list | grep $p | cut -d, -f1); timeout 15 $e watch $k -- sh -c 'kill $PPID'; true" beside etcd on "node3"
    And 1 s to 2 s have passed
    And the DCS volume of the etcd leader stalls
    And an operator runs "timeout 5 etcdctl --endpoints=http://node1:2379,http://node2:2379,http://node3:2379 put written once || true" beside etcd on "node3"
    And 45 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And never do two nodes accept writes
