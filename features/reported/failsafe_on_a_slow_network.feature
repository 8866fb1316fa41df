Feature: Patroni's failsafe on a slow network
  patroni #3550. With failsafe_mode a primary that has lost its DCS asks every member whether it may stay. Each gets
  2 s to answer, whatever retry_timeout says: a healthy member that is further away counts as gone.

  @nightly @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: The DCS is lost while members answer after 5 s
    Given the topology "single-region"
    And every link is shaped
    And the Patroni setting "failsafe_mode" is "on"
    And 4 clients writing 25 rows per second each
    When the fault "link_latency" hits the primary
      | to         | the standbys |
      | ports      | 8008         |
      | round_trip | 5 s          |
    And 20 s to 25 s have passed
    And the service "etcd" on node2 and node3 dies
    And 45 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And never do two nodes accept writes

  @nightly @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: The DCS is lost while members answer after 1 s
    Given the topology "single-region"
    And every link is shaped
    And the Patroni setting "failsafe_mode" is "on"
    And 4 clients writing 25 rows per second each
    When the fault "link_latency" hits the primary
      | to         | the standbys |
      | ports      | 8008         |
      | round_trip | 1 s          |
    And 20 s to 25 s have passed
    And the service "etcd" on node2 and node3 dies
    And 45 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And never do two nodes accept writes
