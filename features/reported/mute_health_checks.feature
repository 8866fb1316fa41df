Feature: The proxy's health checks get no answer
  patroni #2263, #3474 and #1127. The REST API stopped answering (its port was taken, a thread hung) while PostgreSQL, the
  agent and the DCS were well. The proxy took every server out and closed its sessions; nothing failed over, because
  whoever decides that does not ask the REST API.

  @nightly @claim:NO-SPLIT-BRAIN
  Scenario: The proxy hears no node's REST API
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the fault "partition" hits the proxy
      | from  | the nodes |
      | ports | 8008      |
    And 45 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no node is promoted
    And no acknowledged write is lost
    And never do two nodes accept writes

  # By resets in place of silence, and at the primary alone.
  @nightly @claim:NO-SPLIT-BRAIN
  Scenario: The primary's REST API refuses the proxy
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the fault "partition" hits the proxy
      | from  | the primary |
      | ports | 8008        |
      | by    | reject      |
    And 45 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no node is promoted
    And no acknowledged write is lost
    And never do two nodes accept writes
