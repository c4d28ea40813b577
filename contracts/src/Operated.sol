// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Community, NotAnOperator} from "./Community.sol";

/// @title A contract that serves one community
abstract contract Operated {
    /// @notice The community whose operators run this contract.
    Community public immutable community;

    modifier onlyOperator() {
        require(community.isOperator(msg.sender), NotAnOperator(msg.sender));
        _;
    }

    constructor(Community community_) {
        community = community_;
    }
}
