Feature: The team's own stack keeps its promises

  @quick
  @claim:RTO-30 @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies
    Given the topology "own-stack"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  # The agent is found in the team's own image too, where it lies in a virtual environment.
  @claim:NO-SPLIT-BRAIN
  Scenario: The primary's agent is killed and comes back
    Given the topology "own-stack"
    And 4 clients writing 25 rows per second each
    When the Patroni agent on the primary is killed
    And the fault is healed
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes
