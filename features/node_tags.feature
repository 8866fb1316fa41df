Feature: Tags of nodes
  A node that serves reports is kept from leading by Patroni's tags, and no commit waits for it.

  @claim:RTO-30-60 @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN @claim:RECOVER-REWIND
  Scenario: The primary's host dies beside a node that never leads
    Given the topology "node-tags"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then no node is promoted that its tags bar
    And clients can't write for at most 60 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # With the other standby gone as well nobody may lead: writes stay blocked, and nobody leads in spite of his tags.
  @claim:NO-SPLIT-BRAIN
  Scenario: The only node left is one that never leads
    Given the topology "node-tags"
    And the Patroni setting "synchronous_mode" is "off"
    And 4 clients writing 25 rows per second each
    When the fault "service_kill" hits node3
      | service | patroni |
    And the fault "service_kill" hits the primary
      | service | patroni |
    And 45 s to 46 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then no node is promoted that its tags bar
    And clients can't write for between 40 s and 120 s
    And never do two nodes accept writes
