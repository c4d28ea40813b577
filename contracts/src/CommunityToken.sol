// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {Community} from "./Community.sol";
import {Operated} from "./Operated.sol";

/// @title Money of a community
/// @notice A claim on the community's account outside the chain: one token is one unit of its currency, one base unit
/// one micro-unit. Operators mint what was paid in outside; whoever is paid out outside burns.
contract CommunityToken is ERC20, Operated {
    constructor(Community community_, string memory name_, string memory symbol_)
        ERC20(name_, symbol_)
        Operated(community_)
    {}

    /// @notice Base units are millionths, as everywhere in the market's arithmetic.
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Issues tokens for money that was paid in outside.
    /// @param amount base units (millionths of the currency)
    function mint(address to, uint256 amount) external onlyOperator {
        _mint(to, amount);
    }

    /// @notice Destroys the caller's tokens, against money that is paid out outside.
    /// @param amount base units (millionths of the currency)
    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }
}
