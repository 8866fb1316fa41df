Feature: Loss of etcd
  The documents (002) promise that one of three etcd members can be lost, and that a new etcd leader comes in about a
  second: the database does not notice. Without a quorum nobody can refresh the leader key, so the primary demotes itself;
  with Patroni's failsafe_mode it stays as long as every member of the cluster answers it.

  @documented
  @claim:ETCD-1S @claim:NO-SPLIT-BRAIN
  Scenario: The etcd leader is killed
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the service "etcd" on the etcd leader dies
    And 15 s to 20 s have passed
    And the fault is healed
    And every node has rejoined
    Then the DCS has a leader again within 1500 ms
    And clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # What 002 says of a primary without a quorum: it demotes itself, and leads again when the quorum is back.
  @documented
  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd loses its quorum and gets it back
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the service "etcd" on node2 dies
    And the service "etcd" on node3 dies
    And 45 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for between 5 s and 90 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd loses its quorum and Patroni has a failsafe
    Given the topology "single-region"
    And the Patroni setting "failsafe_mode" is "on"
    And 4 clients writing 25 rows per second each
    When the service "etcd" on node2 dies
    And the service "etcd" on node3 dies
    And 45 s to 50 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes
