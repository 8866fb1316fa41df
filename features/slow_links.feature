Feature: Slow links
  A network that is slow is not one that is gone: connections stay, and everything takes longer. Each directed link
  and port is led through a Toxiproxy, so that a scenario slows just the one it means.

  # Every commit waits for the standby: 80 ms more a round trip, then 300 ms, and nothing is lost or taken over.
  @documented @sync
  @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: The links to the standbys are slow under synchronous replication
    Given the topology "single-region-sync"
    And the links between the nodes are shaped
    And 4 clients writing 10 rows per second each
    When a round trip from the standbys to the primary takes 80 ms longer
    And 10 s to 20 s have passed
    And the fault "link_latency" is changed
      | round_trip | 300 ms |
    And 10 s to 20 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 5 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # An agent asks the etcd member it knows, and that one asks the leader: a slow member must not cost the lease.
  @documented
  @claim:NO-SPLIT-BRAIN
  Scenario: One etcd member is slow
    Given the topology "single-region"
    And every link is shaped
    And 4 clients writing 25 rows per second each
    When the fault "link_latency" hits every host
      | to         | an etcd follower |
      | ports      | 2379, 2380       |
      | round_trip | 500 ms           |
    And 20 s to 30 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 5 s
    And never do two nodes accept writes
