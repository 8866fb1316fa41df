Feature: Everything loses its power
  The documents (002, disaster recovery 1) promise that nodes which all went down can come back in any order, and that the
  most advanced one leads.

  @documented
  @claim:ALL-DOWN @claim:NO-SPLIT-BRAIN
  Scenario: Everything goes down and comes back in another order
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When every host loses power, to come back in the order "proxy, node3, node2, node1"
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes

  # The standbys are back for longer than the lease before the old primary is, and elect one of them.
  @documented
  @claim:ALL-DOWN @claim:NO-SPLIT-BRAIN
  Scenario: Everything goes down and the old primary comes back long after the others
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When every host loses power, to come back in the order "proxy, node3, node2, node1"
      | apart | 45 s |
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes
