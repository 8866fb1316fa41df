Feature: Envoy in place of HAProxy
  Documents 000 and 003 leave the choice between the two. So one cluster behind each gets the same faults, and what the balancer
  answers for is held to the same bounds: how long it takes until clients are led to the new primary, and that none is led
  elsewhere once a node has served for as long as the checks may take. How long nobody could write is the lease's doing first,
  so that bound is a loose one: it is the longest that the settings of both predict.

  @balancers @claim:LB-CHOICE @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN @claim:RECOVER-REWIND
  Scenario Outline: The primary's host dies behind <topology>
    Given the topology "<topology>"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for between 15 s and 45 s
    And the route phase takes at most 4 s
    And balancers lead clients that write to the primary
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

    Examples:
      | topology      |
      | envoy         |
      | single-region |

  # Envoy has the old primary out with its first check that is answered with no, HAProxy with its third.
  @balancers @claim:LB-CHOICE @claim:NO-SPLIT-BRAIN
  Scenario Outline: An operator switches over behind <topology>
    Given the topology "<topology>"
    And 4 clients writing 25 rows per second each
    When an operator switches over
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 15 s
    And balancers lead clients that write to the primary
    And no acknowledged write is lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

    Examples:
      | topology      |
      | envoy         |
      | single-region |

  # Nobody else listens at its port, so clients wait until it is back. Then it knows who leads with its first check.
  @balancers @claim:LB-CHOICE @claim:NO-SPLIT-BRAIN
  Scenario Outline: The balancer dies and comes back, <balancer>
    Given the topology "<topology>"
    And 4 clients writing 25 rows per second each
    When the service "<balancer>" on the proxy dies
    And 5 s to 6 s have passed
    And the fault is healed
    And clients can write again
    Then clients can't write for between 4 s and 10 s
    And no node is promoted
    And no acknowledged write is lost
    And never do two nodes accept writes

    Examples:
      | topology      | balancer |
      | envoy         | envoy    |
      | single-region | haproxy  |

  # Envoy's own panic threshold is 50 %, and one of three nodes is primary: two of three clients that write find a standby.
  @balancers @control:routing
  Scenario: Envoy panics, as its default has it
    Given the topology "envoy-panic"
    And 4 clients writing 25 rows per second each
    When the host of a standby dies
    And 10 s to 11 s have passed
    And the fault is healed
    And every node has rejoined
    Then balancers lead clients that write to the primary
